"""Installs of a made-up bundle, counted with a small one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.errors import Error
from edge_runtime.store.install import install

Script = Callable[[str], ModuleType]

GOLDEN = Path(__file__).parents[1] / "golden/0.2.0"


def test_the_table(script: Script, tmp_path: Path) -> None:
    """A row each for a file, a pipe and nothing; an install takes more memory than none."""
    results = tmp_path / "RESULTS.md"
    results.write_text("<!-- installing -->\n<!-- /installing -->\n", "utf-8")
    options = ["--passages", "3000", "--runs", "1", "--results", str(results)]
    assert script("installing").main([str(GOLDEN), *options]) == 0
    lines = results.read_text("utf-8").splitlines()
    assert any(line.endswith("16 files (3,000 passages). Medians:") for line in lines)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][2:]
    assert [(row[0], row[1]) for row in rows] == [("a file", "1"), ("a pipe", "1"), ("nothing", "1")]
    assert all(float(row[4]) > 10 for row in rows)


def test_the_bundle(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is one that installs: its manifest has the made-up corpus, and every file of it."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "home"))
    bundle = script("installing").enlarged(GOLDEN, tmp_path / "bundle", 2000)
    outcome = install(bundle, self_test=None)
    assert (outcome.name, outcome.done) == ("made-up", "installed")
    assert outcome.written > 500_000


def test_an_install_that_fails(script: Script, tmp_path: Path) -> None:
    """Ends the measuring with its own words; so does one that must fail and does not."""
    file = tmp_path / "broken.edge"
    file.write_bytes(b"PK\3\4")
    with pytest.raises(Error, match=r"a file: the install ended with status 1: edge-runtime: .*broken\.edge"):
        script("installing").install("a file", file, tmp_path / "store")
