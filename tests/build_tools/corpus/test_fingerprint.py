"""The cheap identity of a corpus' source."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.corpus import fingerprint, man, man_render
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


@pytest.mark.parametrize("name", ["a.pdf", ".hidden.txt", ".git/x.md", "deep/none"])
def test_what_is_not_read_does_not_count(folder: Path, name: str) -> None:
    """Files of other kinds and hidden ones are no documents."""
    spec = CorpusSpec("text", str(folder))
    before = fingerprint.of(spec)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x", "utf-8")
    assert fingerprint.of(spec) == before


def _build(folder: Path) -> None:
    home = folder / "build" / "notes"
    (home / "stages" / "documents-1").mkdir(parents=True)
    (home / "report").mkdir()
    (home / "lock").touch()
    (home / "stages" / "documents-1" / "x.jsonl").touch()
    (home / "report" / "report.html").write_text("<p>x", "utf-8")


def test_a_build_folder_does_not_count(folder: Path) -> None:
    """A build into its own corpus' folder finds itself up to date."""
    specs = [CorpusSpec("text", str(folder)), CorpusSpec("beir", str(folder))]
    before = [fingerprint.of(spec) for spec in specs]
    _build(folder)
    assert [fingerprint.of(spec) for spec in specs] == before


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_files_of_a_beir_folder(folder: Path, name: str) -> None:
    """Documents, queries and judgements count."""
    spec = CorpusSpec("beir", str(folder))
    before = fingerprint.of(spec)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()
    assert fingerprint.of(spec) != before


def test_the_manual_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages count in the folders where the reader looks, and so does what renders them."""
    spec = CorpusSpec("man")
    monkeypatch.setattr(man, "_machine_roots", lambda: [folder])
    monkeypatch.setattr(man_render, "renderer", lambda: "groff")
    before = fingerprint.of(spec)
    (folder / "deep" / "b.txt").write_text("longer", "utf-8")
    changed = fingerprint.of(spec)
    monkeypatch.setattr(man_render, "renderer", lambda: "mandoc")
    assert len({before, changed, fingerprint.of(spec)}) == 3
