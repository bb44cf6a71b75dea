"""The cheap identity of a corpus' source."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.corpus import fingerprint
from build_tools.recipe import CorpusSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two text files, one of them deeper."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("a", "utf-8")
    (tmp_path / "deep" / "b.txt").write_text("b", "utf-8")
    return tmp_path


def test_it_stays_while_nothing_changes(folder: Path) -> None:
    """Reading is no change."""
    spec = CorpusSpec("text", str(folder))
    before = fingerprint.of(spec)
    (folder / "a.txt").read_text("utf-8")
    assert fingerprint.of(spec) == before


def _touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "deep" / "c.txt").touch(),
        lambda folder: (folder / "deep" / "b.txt").unlink(),
        lambda folder: (folder / "a.txt").rename(folder / "z.txt"),
        lambda folder: (folder / "a.txt").write_text("longer", "utf-8"),
        lambda folder: _touch(folder / "a.txt"),
    ],
)
def test_any_change_shows(folder: Path, change: Callable[[Path], object]) -> None:
    """Added, removed, renamed, rewritten or touched, at any depth."""
    spec = CorpusSpec("text", str(folder))
    before = fingerprint.of(spec)
    change(folder)
    assert fingerprint.of(spec) != before


def test_a_single_file(folder: Path) -> None:
    """Only that file counts."""
    before = fingerprint.of(CorpusSpec("jsonl", str(folder / "a.txt")))
    (folder / "deep" / "b.txt").unlink()
    assert fingerprint.of(CorpusSpec("jsonl", str(folder / "a.txt"))) == before


def test_nothing_there() -> None:
    """A hub name, say: the same each time, and no error."""
    assert fingerprint.of_path("nobody/nothing") == fingerprint.of_path("nobody/nothing")


def test_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader expands ~, so its files count here too."""
    monkeypatch.setenv("HOME", str(folder))
    before = fingerprint.of(CorpusSpec("text", "~/deep"))
    (folder / "deep" / "b.txt").write_text("longer", "utf-8")
    assert fingerprint.of(CorpusSpec("text", "~/deep")) != before


def test_sources_without_a_path() -> None:
    """The interpreter's version, and the machine's manual pages."""
    assert fingerprint.of(CorpusSpec("python")).startswith("python 3.")
    assert isinstance(fingerprint.of(CorpusSpec("man")), str)
