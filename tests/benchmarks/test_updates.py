"""The table of updates, on the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- updates -->\n<!-- /updates -->\n", "utf-8")
    return path


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """One document more."""
    path = tmp_path / "one.jsonl"
    path.write_text('{"id": "new", "title": "tea", "text": "Pour hot water on the leaf."}\n', "utf-8")
    return path


def test_a_row_for_each_change(script: Script, bundle: Path, added: Path, results: Path) -> None:
    """Encoders are not among the files that change, and the given build folder stays as it is."""
    before = {path: path.stat().st_mtime_ns for path in bundle.parent.rglob("*")}
    arguments = [str(bundle), "--add", str(added), "--runs", "1", "--results", str(results)]
    assert script("updates").main(arguments) == 0
    lines = [line for line in results.read_text("utf-8").splitlines() if line.startswith("| ")]
    _, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert [row[0] for row in rows] == ["add one.jsonl", "remove a document", "encode and index all"]
    assert all(6 <= int(row[2]) <= 10 for row in rows[:2])
    assert {path: path.stat().st_mtime_ns for path in bundle.parent.rglob("*")} == before


def test_updates_only(script: Script, bundle: Path, added: Path, results: Path) -> None:
    """Nothing is encoded but what is added."""
    arguments = [str(bundle), "--add", str(added), "--runs", "1", "--updates-only", "--results", str(results)]
    assert script("updates").main(arguments) == 0
    assert "encode and index all" not in results.read_text("utf-8")


def test_nothing_to_measure(
    script: Script, bundle: Path, added: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, before anything is copied."""
    arguments = [str(bundle), "--add", str(added), "--runs", "0", "--results", str(results)]
    assert script("updates").main(arguments) == 1
    assert capsys.readouterr().err == "updates.py: --runs: expected 1 or more\n"
