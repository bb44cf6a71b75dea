"""The index of metadata fields: which documents have which value."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from build_tools import documents, fields
from build_tools.corpus.document import Passage
from build_tools.errors import BuildError

METADATA = [
    {"year": 2020, "tags": ["a", "b", "a"], "note": "x"},
    {"year": 2020.0, "tags": [], "open": True},
    {"year": "2020", "tags": "b", "open": None},
    {"year": 2**63, "tags": [{"a": 1}, ["b"], 1], "open": False},
    {},
]


def write(folder: Path, names: list[str]) -> list[tuple[object, object, list[int]]]:
    """Every row of the file that it makes of the metadata above."""
    passages = (
        Passage(str(i), part, "", "text", about) for i, about in enumerate(METADATA) for part in range(2)
    )
    documents.write(passages, folder)
    fields.write(folder, names)
    with closing(sqlite3.connect(folder / fields.FILENAME)) as connection:
        rows = connection.execute("SELECT field, value, documents FROM fields").fetchall()
    return [(field, value, np.frombuffer(blob, "<i4").tolist()) for field, value, blob in rows]


def test_documents_by_value(tmp_path: Path) -> None:
    """Numbers, then texts, then the rest; a list counts by its elements."""
    assert write(tmp_path, ["tags", "year", "open"]) == [
        ("open", b"false", [3]),
        ("open", b"null", [2]),
        ("open", b"present", [1, 2, 3]),
        ("open", b"true", [1]),
        ("tags", 1, [3]),
        ("tags", "a", [0]),
        ("tags", "b", [0, 2]),
        ("tags", b"present", [0, 1, 2, 3]),
        ("year", 2020, [0, 1]),
        ("year", 2.0**63, [3]),
        ("year", "2020", [2]),
        ("year", b"present", [0, 1, 2, 3]),
    ]


def test_integers_that_no_double_holds(tmp_path: Path) -> None:
    """Count as infinite, as SQLite reads them where a field is not indexed."""
    large = 10**309
    documents.write((Passage(str(n), 0, "", "text", {"n": n}) for n in (large, -large, 1)), tmp_path)
    fields.write(tmp_path, ["n"])
    with closing(sqlite3.connect(tmp_path / fields.FILENAME)) as connection:
        found = [value for (value,) in connection.execute("SELECT value FROM fields")]
    assert found == [float("-inf"), 1, float("inf"), b"present"]


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    """Over whatever was there, and in any folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, ["year", "tags"])
    first = (tmp_path / "one" / fields.FILENAME).read_bytes()
    write(tmp_path / "one", ["year", "tags"])
    assert (tmp_path / "one" / fields.FILENAME).read_bytes() == first
    assert (tmp_path / "two" / fields.FILENAME).read_bytes() == first


def test_a_field_that_no_document_has(tmp_path: Path) -> None:
    """Somebody mistyped it."""
    with pytest.raises(BuildError, match=r"^filters\.indexed: no document has the metadata field 'yaer'$"):
        write(tmp_path, ["year", "yaer"])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """SQLite's error becomes one of ours."""
    with pytest.raises(BuildError, match=r"fields\.sqlite: cannot be written"):
        fields.write(tmp_path / "missing", ["year"])
