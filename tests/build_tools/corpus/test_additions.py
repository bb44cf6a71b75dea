"""Files that are added to a bundle, read as its corpus was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_tools.corpus import additions, reader
from build_tools.corpus.reader import SkipLog
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of texts in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "deep/b.md", "deep/er/c.txt"):
        path = tmp_path / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what {name} says", "utf-8")
    return tmp_path / "notes"


def keys(spec: CorpusSpec, *paths: Path | str) -> list[str]:
    """Those of the documents at these paths."""
    return [
        document.key for document in additions.read(spec, [Path(path) for path in paths], skipped=SkipLog())
    ]


@pytest.mark.parametrize("path", ["notes", "notes/deep", "notes/deep/er/c.txt", "notes/../notes/a.txt"])
@pytest.mark.parametrize("absolute", [False, True])
def test_texts_of_the_corpus(notes: Path, path: str, absolute: bool) -> None:
    """Have the keys that the build gave them, however their place is written."""
    spec = CorpusSpec(source="text", path="notes")
    whole = {document.key for document in reader.read(spec, skipped=SkipLog())}
    found = keys(spec, notes.parent / path if absolute else path)
    assert found
    assert set(found) <= whole


def test_texts_of_elsewhere(notes: Path, tmp_path: Path) -> None:
    """Are known by their path from the folder that is given, a file by its name."""
    other = tmp_path / "other"
    (notes / "deep").rename(other)
    assert keys(CorpusSpec(source="text", path="notes"), other, other / "er" / "c.txt") == [
        "b.md",
        "er/c.txt",
        "c.txt",
    ]
    assert keys(CorpusSpec(source="text", path=str(tmp_path / "gone")), other) == ["b.md", "er/c.txt"]


def test_a_corpus_that_is_not_found(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files' keys are not guessed where it may only be looked for from the wrong directory."""
    monkeypatch.chdir(notes / "deep")
    with pytest.raises(CorpusError, match=r"^corpus\.path notes: no such folder, taken relative to .*/deep;"):
        keys(CorpusSpec(source="text", path="notes"), notes / "a.txt")
    (notes / "deep" / "notes").mkdir()
    assert keys(CorpusSpec(source="text", path="notes"), notes / "a.txt") == ["a.txt"]


def test_the_limit_is_that_of_the_build(notes: Path) -> None:
    """Who names three files means three."""
    assert len(keys(CorpusSpec(source="text", path="notes", limit=1), notes)) == 3


def test_records_that_are_skipped(tmp_path: Path) -> None:
    """As the recipe says; where none is left, that is an error."""
    path = tmp_path / "more.jsonl"
    path.write_text(
        '{"id": "x", "text": " "}\n{"id": "y", "text": "why"}\n{"id": "y", "text": "again"}\n', "utf-8"
    )
    spec, skipped = CorpusSpec(source="jsonl", path="gone.jsonl", on_error="skip"), SkipLog()
    assert [document.key for document in additions.read(spec, [path], skipped=skipped)] == ["y"]
    assert skipped.total == 2
    path.write_text('{"id": "x", "text": " "}\n', "utf-8")
    with pytest.raises(
        CorpusError, match=r"more\.jsonl: expected at least one document; found none: skipped 1"
    ):
        keys(spec, path)


@pytest.mark.parametrize("fields", [Fields(), Fields(id=None)])
def test_records_by_number(tmp_path: Path, fields: Fields) -> None:
    """Cannot be told from those that are there already."""
    path = tmp_path / "more.jsonl"
    path.write_text('{"text": "no key"}\n', "utf-8")
    with pytest.raises(CorpusError, match=r"more\.jsonl:1: records without a key are known by their number"):
        keys(CorpusSpec(source="jsonl", path="gone.jsonl", fields=fields), path)


@pytest.mark.parametrize(
    ("source", "made", "message"),
    [
        ("text", None, "no such file or folder; .*; correct --add"),
        ("text", "a.pdf", "source text reads .*; found another kind of file"),
        ("text", "empty/", "expected at least one document; found none"),
        ("jsonl", "folder/", "source jsonl expects a file; found a folder; correct --add"),
        ("jsonl", "empty.jsonl", "expected at least one document; found none"),
        ("csv", "empty.csv", "expected a header row; found an empty file"),
        ("beir", "file.jsonl", "source beir expects a folder; found a file; correct --add"),
        ("jsonl", "pipe", "expected a plain file"),
        ("text", "n" * 5000, "cannot be read"),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, source: str, made: str | None, message: str) -> None:
    """Found before anything is read."""
    path = tmp_path / (made or "gone")
    if made == "pipe":
        os.mkfifo(path)
    elif made and made.endswith("/"):
        path.mkdir()
    elif made and len(made) < 100:
        path.touch()
    spec = CorpusSpec(source=source, path=str(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match=message):
        keys(spec, path)


def test_the_python_library(tmp_path: Path) -> None:
    """Is no file."""
    with pytest.raises(CorpusError, match="no file can be added; use edge-build build"):
        keys(CorpusSpec(source="python"), tmp_path)
