"""Names of fields that no record has."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.corpus import reader
from build_tools.corpus.problems import SkipLog
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields, OnError

RECORDS = (
    '{"id": "1", "title": "", "text": "a", "year": 2020}\n'
    '{"id": "2", "heading": "", "text": "b"}\n'
    '{"id": "3", "text": "", "tag": "x"}\n'
)


def keys(folder: Path, fields: Fields, *, limit: int | None = None, on_error: OnError = "skip") -> list[str]:
    path = folder / "c.jsonl"
    path.write_text(RECORDS, "utf-8")
    spec = CorpusSpec("jsonl", str(path), fields, limit=limit, on_error=on_error)
    return [document.key for document in reader.read(spec, skipped=SkipLog())]


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        (Fields(metadata=("year", "yaer")), "metadata: no record has 'yaer'"),
        (Fields(title="headding"), "title: no record has 'headding'"),
    ],
)
def test_misspelt(tmp_path: Path, fields: Fields, setting: str) -> None:
    """The error says which name it is, and which there are."""
    message = rf"c\.jsonl: corpus\.fields\.{setting}; the first has 'id', 'title', 'text', 'year'$"
    with pytest.raises(CorpusError, match=message):
        keys(tmp_path, fields)


@pytest.mark.parametrize(
    "fields",
    [
        Fields(),
        Fields(title=None),
        Fields(title="heading", metadata=("year",)),
        Fields(metadata=("tag", "heading")),
    ],
)
def test_one_record_is_enough(tmp_path: Path, fields: Fields) -> None:
    """One with the field, even if the record is skipped or the title empty; the default title need not be."""
    assert keys(tmp_path, fields) == ["1", "2"]


def test_what_was_not_read_may_have_it(tmp_path: Path) -> None:
    """With a limit, the rest of the records is not looked at."""
    assert keys(tmp_path, Fields(metadata=("tag",)), limit=1) == ["1"]
