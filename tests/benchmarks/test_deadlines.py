"""The table of deadlines under load, on the tiny bundle."""

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
    path.write_text("<!-- deadlines -->\n<!-- /deadlines -->\n", "utf-8")
    return path


def test_a_row_for_each_load(script: Script, two_engines: Path, results: Path) -> None:
    """With time enough none is late, and the open encoder answers them all."""
    arguments = [str(two_engines), "--threads", "1,3", "--deadlines", "60000", "-n", "9"]
    assert script("deadlines").main([*arguments, "--results", str(results)]) == 0
    lines = [line for line in results.read_text("utf-8").splitlines() if line.startswith("| ")]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert header[7:] == ["layers2", "words"]
    assert [row[:2] for row in rows] == [["1", "none"], ["1", "60000"], ["3", "none"], ["3", "60000"]]
    assert [row[6] for row in rows] == ["", "0.00%", "", "0.00%"]
    assert [row[7:] for row in rows] == [["100.0%", "0.0%"]] * 4


@pytest.mark.parametrize("option", ["-n", "--threads", "--deadlines"])
def test_nothing_to_measure(
    script: Script,
    two_engines: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    """One line, before anything is opened."""
    status = script("deadlines").main([str(two_engines), option, "0", "--results", str(results)])
    assert status == 1
    assert capsys.readouterr().err == "deadlines.py: -n, --threads and --deadlines: expected 1 or more\n"
