"""Rows to texts, and databases that do not hold what they should."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import filters
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.documents import SCHEMA, Documents, Record
from edge_runtime.errors import BundleError, ClosedError
from edge_runtime.manifest import FileEntry, Manifest

DOCUMENTS = 700


@pytest.fixture(scope="module")
def sample(bundle: Path) -> Manifest:
    return manifests.read(bundle / manifests.FILENAME)


class Shelf:
    """A folder with a database of two passages a document, to be spoiled before it is opened."""

    def __init__(self, folder: Path, sample: Manifest) -> None:
        self.folder = folder
        self._sample = sample
        self.owners: np.ndarray = np.repeat(np.arange(DOCUMENTS, dtype=np.int32), 2)  # type: ignore[type-arg]
        self.run(SCHEMA)
        with sqlite3.connect(self.path) as connection:
            about = ((i, f"key-{i}", f"Title {i}", json.dumps({"n": i})) for i in range(DOCUMENTS))
            connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", about)
            texts = ((row, row // 2, row % 2, f"text of {row} é") for row in range(2 * DOCUMENTS))
            connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", texts)
        connection.close()

    @property
    def path(self) -> Path:
        return self.folder / "documents.sqlite"

    def run(self, script: str) -> None:
        connection = sqlite3.connect(self.path)
        connection.executescript(script)
        connection.close()

    def open(self) -> Documents:
        np.save(self.folder / "documents.npy", self.owners)
        size = (self.folder / "documents.npy").stat().st_size
        files = (FileEntry("documents.sqlite", 1, "0" * 64), FileEntry("documents.npy", size, "0" * 64))
        spec = replace(self._sample.documents, passages=2 * DOCUMENTS, documents=DOCUMENTS)
        return Documents.open(Bundle(self.folder, _files(self._sample, files)), spec)


def _files(sample: Manifest, files: tuple[FileEntry, ...]) -> Manifest:
    kept = (entry for entry in sample.files if not entry.path.startswith("documents."))
    return replace(sample, files=(*kept, *files))


@pytest.fixture
def shelf(tmp_path: Path, sample: Manifest) -> Shelf:
    return Shelf(tmp_path, sample)


@pytest.fixture
def documents(shelf: Shelf) -> Iterator[Documents]:
    opened = shelf.open()
    yield opened
    opened.close()


def test_fetches_in_the_order_asked_for(documents: Documents) -> None:
    """With everything that the document says of itself."""
    one, two, again = documents.fetch([1399, 2, 1399])
    assert one == again == Record("key-699", "Title 699", 1, "text of 1399 é", {"n": 699})
    assert two == Record("key-1", "Title 1", 0, "text of 2 é", {"n": 1})
    assert documents.fetch([]) == []


def test_fetches_any_number(documents: Documents) -> None:
    """More than one statement of SQLite may have parameters."""
    rows = list(reversed(range(2 * DOCUMENTS)))
    assert [record.text for record in documents.fetch(rows)] == [f"text of {row} é" for row in rows]


def test_knows_owners(documents: Documents) -> None:
    """Without asking the database."""
    assert documents.owners(np.array([0, 1, 2, 1399])).tolist() == [0, 0, 1, 699]


def test_many_threads_fetch(documents: Documents) -> None:
    """One connection, a lock, and everybody's own rows."""
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda row: documents.fetch([row, row + 1]), range(400)))
    assert all(records[0].text == f"text of {row} é" for row, records in enumerate(found))


def test_writes_nothing(shelf: Shelf) -> None:
    """No journal, no lock file: the bundle may lie on a read-only card."""
    before = shelf.path.read_bytes()
    opened = shelf.open()
    opened.fetch([1])
    assert sorted(path.name for path in shelf.folder.iterdir()) == ["documents.npy", "documents.sqlite"]
    opened.close()
    assert shelf.path.read_bytes() == before


@pytest.mark.parametrize("folder", ["with space", "100%", "a?mode=rwc", "a#b", "é"])
def test_any_folder_name_will_do(tmp_path: Path, sample: Manifest, folder: str) -> None:
    """SQLite is given a URI, in which some characters mean something."""
    (tmp_path / folder).mkdir()
    opened = Shelf(tmp_path / folder, sample).open()
    assert opened.fetch([0])[0].key == "key-0"
    opened.close()


@pytest.mark.parametrize(
    ("owners", "problem"),
    [
        (
            np.repeat(np.arange(DOCUMENTS, dtype=np.int64), 2),
            r"holds int64 \(1400,\); expected int32 \(1400,\)",
        ),
        (np.repeat(np.arange(DOCUMENTS, dtype=np.float32), 2), r"holds float32"),
        (np.repeat(np.arange(DOCUMENTS, dtype=">i4"), 2), r"holds >i4"),
        (np.zeros(1399, np.int32), r"holds int32 \(1399,\)"),
        (np.zeros((1400, 1), np.int32), r"holds int32 \(1400, 1\)"),
        (np.repeat(np.arange(1, DOCUMENTS + 1, dtype=np.int32), 2), "names a document beyond 700"),
        (np.repeat(np.arange(-1, DOCUMENTS - 1, dtype=np.int32), 2), "names a document beyond 700"),
    ],
)
def test_owners_that_cannot_be_are_refused(shelf: Shelf, owners: np.ndarray, problem: str) -> None:  # type: ignore[type-arg]
    """Another type or length, or documents that there are not."""
    shelf.owners = owners
    with pytest.raises(BundleError, match=f"documents.npy: {problem}.*; rebuild the bundle"):
        shelf.open()


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0" + b"\xff" * 5000])
def test_other_files_are_refused(shelf: Shelf, content: bytes) -> None:
    """Empty, no database, or one only by its first bytes."""
    shelf.path.write_bytes(content)
    with pytest.raises(
        BundleError, match=r"documents.sqlite: SQLite cannot read it \(.*\); rebuild the bundle"
    ):
        shelf.open()


def test_a_missing_file_is_an_error(shelf: Shelf) -> None:
    """Not a new, empty database."""
    shelf.path.unlink()
    with pytest.raises(BundleError, match="unable to open database file"):
        shelf.open()
    assert not shelf.path.exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("DROP TABLE documents", "no such table"),
        ("DROP TABLE passages", "no such table"),
        ("ALTER TABLE documents RENAME COLUMN title TO name", "no such column"),
        ("ALTER TABLE passages RENAME COLUMN text TO body", "no such column"),
        ("DELETE FROM passages", "passages None to None; expected 0 to 1399"),
        ("DELETE FROM passages WHERE row = 0", "passages 1 to 1399; expected 0 to 1399"),
        ("DELETE FROM passages WHERE row = 1399", "passages 0 to 1398; expected 0 to 1399"),
        ("UPDATE passages SET row = row + 1 WHERE row = 1399", "passages 0 to 1400; expected 0 to 1399"),
    ],
)
def test_missing_tables_and_rows_are_noticed_at_once(shelf: Shelf, script: str, problem: str) -> None:
    """As far as a look at both ends can tell."""
    shelf.run(script)
    with pytest.raises(BundleError, match=f"documents.sqlite: .*{problem}.*; rebuild the bundle"):
        shelf.open()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("DELETE FROM passages WHERE row = 7", "has no passage 7"),
        ("DELETE FROM documents WHERE id = 3", "has no passage 7"),
        ("UPDATE documents SET metadata = '{' WHERE id = 3", "cannot read it"),
        ("UPDATE documents SET metadata = '[1]' WHERE id = 3", "a value of another type in document 'key-3'"),
        ("UPDATE documents SET metadata = x'00' WHERE id = 3", "a value of another type in document 'key-3'"),
        ("UPDATE documents SET title = x'ff' WHERE id = 3", "a value of another type in document 'key-3'"),
        ("UPDATE documents SET title = CAST(x'ff' AS TEXT) WHERE id = 3", "UTF-8"),
        (
            "UPDATE passages SET ordinal = 'first' WHERE row = 7",
            "a value of another type in document 'key-3'",
        ),
        ("UPDATE passages SET text = x'ff' WHERE row = 7", "a value of another type in document 'key-3'"),
        (f"UPDATE documents SET metadata = '{'[' * 100_000}' WHERE id = 3", "cannot read it"),
    ],
    ids=range(10),
)
def test_what_is_wrong_in_the_middle_is_one_error(shelf: Shelf, script: str, problem: str) -> None:
    """When it is fetched; the rows beside it are still good."""
    shelf.run(script)
    opened = shelf.open()
    with pytest.raises(BundleError, match=f"documents.sqlite: .*{problem}.*; rebuild the bundle"):
        opened.fetch([5, 7])
    assert opened.fetch([5])[0].key == "key-2"
    opened.close()


def test_a_filter_allows_all_passages_of_its_documents(documents: Documents) -> None:
    """Counted both ways; the mask is shared, so nobody may write into it."""
    found = documents.allowed(filters.parse({"n": {"in": [3, 5, 699]}}))
    assert np.flatnonzero(found.mask).tolist() == [6, 7, 10, 11, 1398, 1399]
    assert (found.passages, found.documents) == (6, 3)
    with pytest.raises(ValueError, match="read-only"):
        found.mask[0] = True


def test_filters_are_remembered_up_to_a_bound(documents: Documents) -> None:
    """The same filter is the same mask, until sixteen others were asked; True is another filter than 1."""
    first = documents.allowed(filters.parse({"n": 1}))
    assert documents.allowed(filters.parse({"n": 1.0})) is first
    assert documents.allowed(filters.parse({"n": True})).documents == 0
    for number in range(2, 18):
        documents.allowed(filters.parse({"n": number}))
    again = documents.allowed(filters.parse({"n": 1}))
    assert again is not first
    assert np.array_equal(again.mask, first.mask)


def test_a_closed_file_filters_no_more(shelf: Shelf) -> None:
    """Not even what it remembered."""
    opened = shelf.open()
    opened.allowed(filters.parse({"n": 1}))
    opened.close()
    with pytest.raises(ClosedError, match="open the bundle again"):
        opened.allowed(filters.parse({"n": 1}))


def test_the_rows_of_a_document(bundle: Path) -> None:
    """All of them, rising; none of a key that is not there."""
    opened = Bundle.open(bundle)
    with closing(opened), closing(Documents.open(opened, opened.manifest.documents)) as documents:
        rows = documents.rows("radio-3")
        assert rows.dtype == np.int64
        assert [record.key for record in documents.fetch(rows.tolist())] == ["radio-3"] * len(rows)
        assert [record.ordinal for record in documents.fetch(rows.tolist())] == list(range(len(rows)))
        for unknown in ("radio-33", "", "\ud800"):
            assert documents.rows(unknown).tolist() == []
