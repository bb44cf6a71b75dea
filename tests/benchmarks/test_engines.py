"""The table of encoders and engines, on the tiny bundle that has both."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("before\n<!-- engines -->\n<!-- /engines -->\nafter\n", "utf-8")
    return path


def test_a_row_for_each_encoder(script: Script, two_engines: Path, results: Path) -> None:
    """With figures in every cell, and more time for more tokens of the table's columns than none."""
    arguments = [str(two_engines), "--rounds", "1", "-n", "5", "--results", str(results)]
    assert script("engines").main(arguments) == 0
    text = results.read_text("utf-8")
    assert text.startswith("before\n<!-- engines -->\n")
    assert "tiny 1.0.0, 96 passages; 1 rounds of 5 queries a length" in text.replace("\n", " ")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["| layers2", "| layers2-tflite", "| static"]
    assert [row[1].split()[0] for row in rows[2:]] == ["onnxruntime", "ai-edge-litert", "numpy"]
    for row in rows[2:]:
        assert all(re.fullmatch(r"[\d.]+( \|)?", cell) for cell in row[2:]), row
        assert float(row[3]) > 0.98


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/gone"], "/gone"),
        (["{bundle}", "--rounds", "0"], "--rounds and -n: expected 1 or more"),
        (["{bundle}", "-n", "0"], "--rounds and -n: expected 1 or more"),
        (["{bundle}", "--section", "speed"], "expected a line <!-- speed -->"),
    ],
)
def test_what_it_cannot_measure(
    script: Script, two_engines: Path, results: Path, capsys: Output, arguments: list[str], problem: str
) -> None:
    """One line, before anything is measured."""
    given = [argument.format(bundle=two_engines) for argument in arguments]
    assert script("engines").main([*given, "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
