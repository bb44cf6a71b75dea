"""What holds for every source: sound documents, or one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.corpus.problems import SkipLog, Skipped
from build_tools.corpus.reader import read
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields

Lines = Callable[..., Path]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """Writes records to a JSON Lines file."""

    def write(*records: object) -> Path:
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    return write


def spec(path: Path, **settings: object) -> CorpusSpec:
    return CorpusSpec("jsonl", path=str(path), **settings)  # type: ignore[arg-type]


BAD = [
    ({"id": "a", "text": "x"}, "duplicate key"),
    ({"id": "b", "text": " \n\t"}, "no text"),
    ({"id": "b", "text": "\0"}, "no text"),
    ({"id": "", "text": "x"}, "empty key"),
    ({"id": "b\n", "text": "x"}, "control character in key"),
    ({"id": "b", "text": "\ud800"}, "not Unicode text"),
    ({"id": "b", "text": 3}, "wrong type in field 'text'"),
    ({"id": "b", "title": 3, "text": "x"}, "wrong type in field 'title'"),
    ({"id": "b"}, "missing field 'text'"),
    ({"id": "b", "text": None}, "missing field 'text'"),
    ({"id": True, "text": "x"}, "wrong type in field 'id'"),
    ({"text": "x"}, "missing field 'id'"),
    ({"id": "b", "text": "x", "year": "\udfff"}, "not Unicode text"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_bad_record_is_one_error(lines: Lines, bad: object, reason: str) -> None:
    """The error names file and line, the problem, and the way out."""
    path = lines({"id": "a", "text": "first"}, bad)
    with pytest.raises(CorpusError) as caught:
        list(read(spec(path, fields=Fields(metadata=("year",))), skipped=SkipLog()))
    message = str(caught.value)
    assert message.startswith(f"{path}:2: {reason}")
    assert "on_error: skip" in message


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_bad_record_is_skipped_and_counted(lines: Lines, bad: object, reason: str) -> None:
    """With on_error: skip the rest is read, and the log says what was left out and where."""
    path = lines({"id": "a", "text": "first"}, bad, {"id": "z", "text": "last", "year": 1})
    log = SkipLog()
    settings = {"on_error": "skip", "fields": Fields(metadata=("year",))}
    assert [d.text for d in read(spec(path, **settings), skipped=log)] == ["first", "last"]
    assert log.entries == (Skipped(reason, 1, f"{path}:2"),)
    assert log.summary() == f"1 x {reason} (first: {path}:2)"


def test_duplicate_names_the_first(lines: Lines) -> None:
    """A repeated key, number or text, points to both places."""
    path = lines({"id": 1, "text": "x"}, {"id": "2", "text": "x"}, {"id": "1", "text": "x"})
    with pytest.raises(CorpusError, match=r"jsonl:3: duplicate key: .*'1' again \(first at .*jsonl:1\)"):
        list(read(spec(path), skipped=SkipLog()))


def test_documents_are_tidied(lines: Lines) -> None:
    """Line ends are unified, NUL goes, a title is one line."""
    path = lines({"id": 7, "title": " a\n b ", "text": "one\r\ntwo\0\rthree"})
    document = next(read(spec(path), skipped=SkipLog()))
    assert (document.key, document.title, document.text) == ("7", "a b", "one\ntwo\nthree")


def test_metadata_has_no_nul(lines: Lines) -> None:
    """Nor has what is inside of it; SQLite would take each for the text up to there."""
    path = lines({"id": 7, "text": "x", "a": "c\0d", "e": [{"f\0": "\0g"}, 1, None], "h": "as it is"})
    fields = Fields(metadata=("a", "e", "h"))
    document = next(read(spec(path, fields=fields), skipped=SkipLog()))
    assert document.metadata == {"a": "cd", "e": [{"f": "g"}, 1, None], "h": "as it is"}


def test_limit_stops_reading(lines: Lines) -> None:
    """What comes after the limit is not even looked at."""
    path = lines({"id": "a", "text": "x"}, {"id": "b", "text": "y"}, ["broken"])
    assert [d.key for d in read(spec(path, limit=2), skipped=SkipLog())] == ["a", "b"]


@pytest.mark.parametrize("records", [[], [["not an object"]]])
def test_empty_corpus(lines: Lines, records: list[object]) -> None:
    """A corpus without a document is an error, which tells of skipped records."""
    path = lines(*records)
    with pytest.raises(CorpusError, match="expected at least one document; found none") as caught:
        list(read(spec(path, on_error="skip"), skipped=SkipLog()))
    assert ("not a JSON object" in str(caught.value)) == bool(records)


@pytest.mark.parametrize("source", ["jsonl", "csv", "text", "beir", "man"])
def test_missing_path(tmp_path: Path, source: str) -> None:
    """A path that is not there is reported before anything is read."""
    with pytest.raises(CorpusError, match="no such file or folder"):
        read(CorpusSpec(source, path=str(tmp_path / "gone")), skipped=SkipLog())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("jsonl", "a file"), ("csv", "a file"), ("text", "a folder"), ("beir", "a folder")],
)
def test_file_and_folder_mixed_up(tmp_path: Path, source: str, expected: str) -> None:
    """A folder in place of a file, and the reverse."""
    file = tmp_path / "file"
    file.touch()
    path = tmp_path if expected == "a file" else file
    with pytest.raises(CorpusError, match=f"source {source} expects {expected}"):
        read(CorpusSpec(source, path=str(path)), skipped=SkipLog())  # type: ignore[arg-type]


def test_reading_streams(tmp_path: Path) -> None:
    """The first document arrives although the file never ends in sight."""
    path = tmp_path / "corpus.jsonl"
    with path.open("w") as file:
        for number in range(1000):
            file.write(json.dumps({"id": number, "text": "x"}) + "\n")
        file.write("broken")
    documents = read(spec(path), skipped=SkipLog())
    assert next(documents).key == "0"
    with pytest.raises(CorpusError, match="jsonl:1001: malformed JSON"):
        list(documents)
