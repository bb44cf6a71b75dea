"""Folders of text, Markdown and HTML."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_tools.corpus import text
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord
from build_tools.recipe import CorpusSpec
from build_tools.record import FILENAME
from build_tools.workspace import LOCK, STAGES


def documents(root: Path) -> list[Document | BadRecord]:
    return list(text.documents(CorpusSpec("text", path=str(root))))


def only(root: Path, name: str, content: str) -> Document:
    (root / name).write_text(content, encoding="utf-8")
    found = documents(root)[0]
    assert isinstance(found, Document)
    return found


def test_walk_is_sorted_and_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    """Files in all folders by their path; hidden ones, other kinds and linked folders left out."""
    for name in ("b.txt", "a/z.md", "a/y.HTM", ".hidden.txt", ".git/x.txt", "c.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("words")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "d.txt").symlink_to(tmp_path / "b.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    found = documents(tmp_path)
    assert [d.key for d in found if isinstance(d, Document)] == ["a/y.HTM", "a/z.md", "b.txt", "d.txt"]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("# Head #\ntext", "Head"),
        ("intro\n\n## Second ##\n# First", "Second"),
        ("Under\n=====\ntext", "Under"),
        ("```sh\n# a comment\n```\n# Real", "Real"),
        ("---\ntitle: 'Front'\n---\nno heading", "Front"),
        ("---\ntitle: Front\n---\n# Head", "Head"),
        ("#hashtag", "page"),
        ("# About C#", "About C#"),
        ("# ##\ntext", "page"),
        (f"# a{' ' * 100_000}b \t##  ", f"a{' ' * 100_000}b"),
    ],
)
def test_markdown_titles(tmp_path: Path, content: str, title: str) -> None:
    """The first heading outside code, else the front matter's title, else the file's name."""
    assert only(tmp_path, "page.md", content).title == title


def test_front_matter_is_dropped(tmp_path: Path) -> None:
    """What stands above a Markdown page is not its text."""
    assert only(tmp_path, "page.md", "---\ntags: [a]\n---\nBody\n\n---\nmore").text == "Body\n\n---\nmore"


def test_plain_text_is_kept(tmp_path: Path) -> None:
    """A text file is what it is; its name is the title."""
    found = only(tmp_path, "notes.txt", "\ufeff# not a heading\r\nx")
    assert (found.title, found.text) == ("notes", "# not a heading\nx")


@pytest.mark.parametrize(("name", "content"), [("a.txt", b"caf\xe9"), ("a.html", b"<p>\xff")])
def test_not_utf8(tmp_path: Path, name: str, content: bytes) -> None:
    """A file in another encoding is a bad record with its path."""
    (tmp_path / name).write_bytes(content)
    bad = documents(tmp_path)[0]
    assert isinstance(bad, BadRecord)
    assert (bad.origin, bad.reason) == (str(tmp_path / name), "not UTF-8")


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A name that cannot be a key is reported in a form that can be printed."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("x")
    bad = documents(tmp_path)[0]
    assert isinstance(bad, BadRecord)
    assert bad.reason == "file name not UTF-8"
    assert bad.origin.endswith("/\\udcff.txt")


def test_broken_link(tmp_path: Path) -> None:
    """A link to nothing, or to itself, is a bad record."""
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    (tmp_path / "b.txt").symlink_to(tmp_path / "b.txt")
    assert [bad.reason for bad in documents(tmp_path) if isinstance(bad, BadRecord)] == ["broken link"] * 2


@pytest.mark.parametrize("mark", [STAGES, FILENAME])
def test_build_folder_is_left_out(tmp_path: Path, mark: str) -> None:
    """What was built in the corpus' own folder is not read; a folder that only has such names is."""
    home = tmp_path / "build" / "notes"
    (home / "report").mkdir(parents=True)
    (home / "report" / "report.html").write_text("words")
    (tmp_path / "a.txt").write_text("words")
    (home / mark).mkdir()
    keys = [d.key for d in documents(tmp_path) if isinstance(d, Document)]
    assert keys == ["a.txt", "build/notes/report/report.html"]
    (home / LOCK).touch()
    assert [d.key for d in documents(tmp_path) if isinstance(d, Document)] == ["a.txt"]


def test_deep_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any depth that the system allows is read."""
    monkeypatch.chdir(tmp_path)
    deep = Path(*["d"] * 1200)
    folders = [*reversed(deep.parents), deep][1:]
    for folder in folders:
        folder.mkdir()
    (deep / "a.txt").write_text("words")
    try:
        assert [d.key for d in documents(Path()) if isinstance(d, Document)] == [str(deep / "a.txt")]
    finally:  # pytest removes no folders that lie so deep
        (deep / "a.txt").unlink()
        for folder in reversed(folders):
            folder.rmdir()
