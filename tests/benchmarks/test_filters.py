"""The tables of filters, on a corpus of two thousand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge_runtime import filters
from edge_runtime.allowed import Allowed
from edge_runtime.ranking import Ranking

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the tables."""
    path = tmp_path / "RESULTS.md"
    path.write_text("before\n<!-- filters -->\n<!-- /filters -->\nafter\n", "utf-8")
    return path


def test_both_tables(script: Script, results: Path) -> None:
    """A row for each filter; exact search and few allowed passages have a recall of one."""
    arguments = ["--passages", "2000", "--ndim", "16", "-n", "3", "--results", str(results)]
    assert script("filters").main(arguments) == 0
    text = results.read_text("utf-8")
    assert text.startswith("before\n<!-- filters -->\n")
    assert "2,000 made-up passages, 16 dimensions, 3 queries" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    selecting, searching = rows[2:8], rows[10:]
    assert [len(row) for row in selecting] == [3] * 6
    assert all(re.fullmatch(r"[\d.]+", cell) for row in selecting for cell in row[1:])
    assert [row[0] for row in searching] == [
        kind for kind in ("exact", "hnsw", "two-stage", "pq", "words") for _ in range(16)
    ]
    assert all(re.fullmatch(r"[\d.]+", cell) for row in searching for cell in row[5:])
    assert {len(row) for row in searching} == {11}
    assert {row[3] for row in searching if row[0] == "exact" or row[2].startswith(("1 %", "0.01 %"))} <= {
        "1.000",
        "",
    }


def test_the_made_up_corpus(script: Script, tmp_path: Path) -> None:
    """The same every time, its filters as selective as they say, and recall as it is meant."""
    made_up = script("made_up")
    made = made_up.make(tmp_path, 2000, 16, 4)
    with made.selection(made_up.FIELDS) as selection:
        for field in ("chance", "cluster"):
            counts = [int(selection.select(filters.parse({field: name})).sum()) for name in made_up.SHARES]
            assert counts == [1000, 200, 20, 1]
    best = np.argsort(-made.cosines[2])
    every = Ranking(best[:10], made.cosines[2][best[:10]])
    assert made.recall(2, every, 10, None) == 1
    assert made.recall(2, Ranking(best[5:15], every.scores), 10, None) == 0.5
    mask = np.isin(np.arange(2000), best[100:104])
    assert made.recall(2, Ranking(best[100:102], every.scores[:2]), 10, Allowed(mask, 4, 4)) == 0.5


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--passages", "999"], "--passages, --ndim and -n: expected 1000, 8 and 1 or more"),
        (["-n", "0"], "--passages, --ndim and -n: expected 1000, 8 and 1 or more"),
        (["--section", "speed"], "expected a line <!-- speed -->"),
    ],
)
def test_what_it_cannot_measure(
    script: Script, results: Path, capsys: Output, arguments: list[str], problem: str
) -> None:
    """One line, before anything is made."""
    assert script("filters").main([*arguments, "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
