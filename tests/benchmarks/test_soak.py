"""The minute of many threads, in a second, on the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge_runtime import Results, Retriever
from edge_runtime.errors import Error

Script = Callable[[str], ModuleType]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- soak -->\n<!-- /soak -->\n", "utf-8")
    return path


def soak(script: Script, bundle: Path, results: Path, *options: str) -> tuple[int, list[str]]:
    """The exit status, and the table's only row."""
    arguments = [str(bundle), "--threads", "4", "--seconds", "0.5", *options, "--results", str(results)]
    status = script("soak").main(arguments)
    row = [line for line in results.read_text("utf-8").splitlines() if line.startswith("| ")][-1]
    return status, [cell.strip() for cell in row.strip("|").split("|")]


def test_nothing_differs(script: Script, bundle: Path, results: Path) -> None:
    """Searches were made, and each gave what one thread gets."""
    status, row = soak(script, bundle, results)
    assert status == 0
    assert row[0] == "4"
    assert int(row[2].replace(",", "")) > 4
    assert row[3:5] == ["0", "0"]


def test_what_differs_is_told(
    script: Script,
    bundle: Path,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A search that loses a hit, and one that fails, once each: both are counted, and the status is 1."""
    search, asked = Retriever.search, []

    def faulty(self: Retriever, query: str, **options: Any) -> Results:
        asked.append(query)
        if len(asked) == 20:
            raise Error("a fault")
        found = search(self, query, **options)
        return Results(found[1:], encoder=found.encoder) if len(asked) == 21 else found

    monkeypatch.setattr(Retriever, "search", faulty)
    status, row = soak(script, bundle, results, "--threads", "1")
    assert status == 1
    assert row[3:5] == ["1", "1"]
    assert "soak.py: not as one thread is answered: " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--threads", "--seconds"])
def test_nothing_to_measure(
    script: Script, bundle: Path, results: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """One line, before anything is opened."""
    assert script("soak").main([str(bundle), option, "0", "--results", str(results)]) == 1
    assert capsys.readouterr().err == "soak.py: --threads and --seconds: expected more than 0\n"
