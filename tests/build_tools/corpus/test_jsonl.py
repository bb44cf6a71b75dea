"""JSON Lines as they come: broken, marked, numbered."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.corpus import jsonl
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields


def documents(path: Path, content: bytes, fields: Fields | None = None) -> list[Document | BadRecord]:
    path.write_bytes(content)
    return list(jsonl.documents(CorpusSpec("jsonl", path=str(path), fields=fields or Fields())))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the corpus is written."""
    return tmp_path / "c.jsonl"


def test_mark_crlf_and_blank_lines(path: Path) -> None:
    """A byte-order mark, Windows line ends and blank lines are fine; line numbers count them."""
    content = b'\xef\xbb\xbf{"id": 1, "text": "a"}\r\n\r\n  \n{"id": 2.5, "text": "b"}'
    found = documents(path, content)
    assert found == [
        Document("1", "", "a", {}, f"{path}:1"),
        Document("2.5", "", "b", {}, f"{path}:4"),
    ]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"id": 1, "text": "x"', "malformed JSON", "column 22"),
        (b"[", "malformed JSON", "jq -c"),
        (b'["a"]', "not a JSON object", "found a list"),
        (b"3", "not a JSON object", "found a int"),
        (b'{"id": NaN, "text": "x"}', "malformed JSON", "found NaN"),
        (b'{"id": 1e999, "text": "x"}', "wrong type in field 'id'", "expected text"),
        (b"[" * 100_000, "malformed JSON", "nested too deeply"),
        (b'{"id": ' + b"9" * 5000 + b', "text": "x"}', "malformed JSON", ""),
        (b'{"id": "\xff", "text": "x"}', "not UTF-8", "0xff at position 9"),
        (b'{"id": "x", "body": "x"}', "missing field 'text'", "found 'id', 'body'"),
        (b'{"id": "x", "text": ["x"]}', "wrong type in field 'text'", "found a list"),
    ],
)
def test_bad_line_does_not_end_the_stream(path: Path, line: bytes, reason: str, detail: str) -> None:
    """A bad line is reported with its number, and the next one is read."""
    good = b'{"id": "%d", "text": "x"}\n'
    first, bad, last = documents(path, good % 1 + line + b"\n" + good % 3)
    assert isinstance(first, Document)
    assert isinstance(last, Document)
    assert isinstance(bad, BadRecord)
    assert (bad.origin, bad.reason) == (f"{path}:2", reason)
    assert detail in bad.detail


def test_utf16_is_recognized(path: Path) -> None:
    """A file in another encoding says so."""
    bad = documents(path, '{"id": 1}'.encode("utf-16"))[0]
    assert isinstance(bad, BadRecord)
    assert "UTF-16" in bad.detail


@pytest.mark.parametrize("fields", [Fields(id=None), Fields()])
def test_records_without_key_are_numbered(path: Path, fields: Fields) -> None:
    """Without a key, or when the first record shows that there are none, records count from 1."""
    found = documents(path, b'\n{"text": "a"}\n{"text": "b"}\n', fields)
    assert [d.key for d in found if isinstance(d, Document)] == ["1", "2"]


def test_a_key_that_the_recipe_names_is_required(path: Path) -> None:
    """A misspelled id field is not silently replaced by numbers."""
    bad = documents(path, b'{"uid": 1, "text": "a"}', Fields(id="uuid"))[0]
    assert isinstance(bad, BadRecord)
    assert bad.detail == "expected 'uuid'; found 'uid', 'text'"


def test_a_key_after_a_record_without_one(path: Path) -> None:
    """The first record's lack of a key does not throw away those of all others."""
    content = b'{"text": "a"}\n{"text": "b"}\n{"id": "x", "text": "c"}\n'
    message = r"c\.jsonl:3: record 1 has no 'id', record 3 has; .* or set corpus\.fields\.id=null$"
    with pytest.raises(CorpusError, match=message):
        documents(path, content)
    found = documents(path, content, Fields(id=None))
    assert [d.key for d in found if isinstance(d, Document)] == ["1", "2", "3"]


def test_a_field_in_other_case(path: Path) -> None:
    """A field is not silently left out because its name is in capitals; two such fields are two."""
    with pytest.raises(
        CorpusError, match=r"c\.jsonl:1: expected the field 'id'; found 'ID'; set corpus\.fields\.id=ID"
    ):
        documents(path, b'{"ID": "7", "text": "a"}')
    found = documents(path, b'{"id": "7", "ID": "8", "text": "a"}')
    assert [d.key for d in found if isinstance(d, Document)] == ["7"]


def test_metadata_is_kept_by_name(path: Path) -> None:
    """Only the fields that the recipe lists, with their JSON types."""
    fields = Fields(id="n", title="head", text="body", metadata=("year", "tags"))
    content = b'{"n": 1, "head": "T", "body": "x", "year": 2020, "other": 1}'
    assert documents(path, content, fields) == [Document("1", "T", "x", {"year": 2020}, f"{path}:1")]


def test_overlong_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the bound is passed over without being held; numbering goes on."""
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 64)
    bad, good = documents(path, b"x" * 1000 + b"\n" + b'{"id": 2, "text": "x"}\n')
    assert isinstance(bad, BadRecord)
    assert bad.reason == "line too long"
    assert good == Document("2", "", "x", {}, f"{path}:2")
