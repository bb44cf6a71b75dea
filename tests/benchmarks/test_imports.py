"""The table of what a first answer imports, on the tiny bundle that has all kinds of encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]

STEPS = [
    *("Python", "standard library", "numpy", "yaml", "sqlite3", "tokenizers", "engine", "edge_runtime"),
    *("usearch", "open", "first answer", "sum"),
    *("by the clock, median", "by the clock, fastest"),
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("before\n<!-- imports -->\n<!-- /imports -->\nafter\n", "utf-8")
    return path


def test_a_row_for_each_step(script: Script, two_engines: Path, results: Path) -> None:
    """Time and memory of each, one pair of columns for each kind of encoder."""
    assert script("imports").main([str(two_engines), "--rounds", "1", "--results", str(results)]) == 0
    text = results.read_text("utf-8")
    assert text.startswith("before\n<!-- imports -->\n")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0][1::2] == ["layers2 ms", "layers2-tflite ms", "static ms"]
    assert [row[0] for row in rows[2:]] == STEPS
    for row in rows[2:-2]:
        assert all(re.fullmatch(r"-?\d+\.\d", cell) for cell in row[1:]), row
    engine = rows[2 + STEPS.index("engine")]
    assert float(engine[1]) > float(engine[5]) == 0


def test_chosen_encoders(script: Script, two_engines: Path, results: Path, capsys: Output) -> None:
    """In the order in which they were named."""
    arguments = [str(two_engines), "--rounds", "1", "--results", str(results), "--encoders", "static"]
    assert script("imports").main(arguments) == 0
    assert "| step | static ms | static MB |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/gone"], "/gone"),
        (["{bundle}", "--rounds", "0"], "--rounds: expected 1 or more"),
        (["{bundle}", "--encoders", "layers9"], "found 'layers9'"),
        (["{bundle}", "--section", "speed"], "expected a line <!-- speed -->"),
    ],
)
def test_what_it_cannot_measure(
    script: Script, two_engines: Path, results: Path, capsys: Output, arguments: list[str], problem: str
) -> None:
    """One line, before anything is measured."""
    given = [argument.format(bundle=two_engines) for argument in arguments]
    assert script("imports").main([*given, "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
