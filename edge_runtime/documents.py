"""Passage rows to documents and their texts: an SQLite file, and one array that says who owns which row."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.filters import Filter
from edge_runtime.manifest import DocumentsSpec
from edge_runtime.selection import Selection, connect

SCHEMA = """
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE TABLE passages (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents (id),
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL
);
"""

_FETCH = """
SELECT passages.row, documents.key, documents.title, passages.ordinal, passages.text, documents.metadata
FROM passages JOIN documents ON documents.id = passages.document
WHERE passages.row IN ({marks})
"""

_ID = "SELECT id FROM documents WHERE key = ?"

_FETCH_AT_ONCE = 500  # SQLite before 3.32 takes 999 parameters

# Filters whose passages are remembered: at most so many, and so many bytes of one a passage.
_REMEMBERED, _REMEMBERED_BYTES = 16, 1 << 22


@dataclass(frozen=True, slots=True)
class Record:
    """One passage with what its document says of itself."""

    key: str
    title: str
    ordinal: int
    text: str
    metadata: Mapping[str, Any]

    @property
    def content(self) -> str:
        """What models read: title and text, as at the build."""
        return f"{self.title} {self.text}" if self.title else self.text


class Documents:
    """The texts of a bundle, read a few rows at a time. Thread-safe."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        owners: NDArray[np.int32],
        source: str,
        *,
        selection: Selection,
    ) -> None:
        self._connection = connection
        self._owners = owners
        self._source = source
        self._selection = selection
        self._lock = threading.Lock()
        # Around a function: with a method, cache and object would hold each other, and the bundle's mappings.
        remembered = max(1, min(_REMEMBERED, _REMEMBERED_BYTES // max(1, len(owners))))
        self._allow = lru_cache(remembered)(partial(_allow, selection, owners))

    @classmethod
    def open(cls, bundle: Bundle, spec: DocumentsSpec) -> Documents:
        """Opens the file read-only and immutable: no journal, no lock, nothing is ever written.

        Raises:
            BundleError: SQLite cannot read it, or it does not hold what the manifest says.
        """
        owners = _owners(bundle, spec)
        path = bundle.path(spec.path)
        with ExitStack() as undo:
            try:
                connection = connect(path)
                undo.callback(connection.close)
                _check_rows(connection, spec.passages, path)
            except sqlite3.Error as error:
                raise BundleError(_unreadable(path, error)) from None
            undo.pop_all()
        return cls(connection, owners, str(path), selection=_selection(bundle, spec))

    def owners(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The document number of each row, shape as given."""
        return self._owners[rows]

    def rows(self, key: str) -> NDArray[np.int64]:
        """The passages of the document with this key, int64 (n,), rising; none where there is no such.

        Raises:
            BundleError: SQLite cannot read the file.
        """
        try:
            with self._lock:
                found = self._connection.execute(_ID, (key,)).fetchone()
        except UnicodeEncodeError:  # half a surrogate pair, which no key of the file can have
            found = None
        except sqlite3.Error as error:
            raise BundleError(_unreadable(self._source, error)) from None
        return np.flatnonzero(self._owners == found[0]) if found else np.empty(0, np.int64)

    def allowed(self, tree: Filter) -> Allowed:
        """The passages of the documents that a filter allows. The last few answers are remembered.

        Raises:
            BundleError: a file is not what the format says.
            ClosedError: after `close`.
        """
        return self._allow(tree)

    def fetch(self, rows: Sequence[int]) -> list[Record]:
        """The passages in these rows, in the order given.

        Raises:
            BundleError: a row is missing, or not what the format says.
        """
        found: dict[int, Record] = {}
        try:
            for start in range(0, len(rows), _FETCH_AT_ONCE):
                some = rows[start : start + _FETCH_AT_ONCE]
                statement = _FETCH.format(marks=",".join("?" * len(some)))
                with self._lock:
                    lines = self._connection.execute(statement, some).fetchall()
                found.update((line[0], _record(*line[1:])) for line in lines)
            return [found[row] for row in rows]
        except (sqlite3.Error, ValueError, RecursionError) as error:
            raise BundleError(_unreadable(self._source, error)) from None
        except KeyError as error:
            raise BundleError(f"{self._source}: has no passage {error}; rebuild the bundle") from None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
            self._selection.close()
            self._owners = np.empty(0, np.int32)
            self._allow = lru_cache(1)(partial(_allow, self._selection, self._owners))


def _allow(selection: Selection, owners: NDArray[np.int32], tree: Filter) -> Allowed:
    documents = selection.select(tree)
    mask = documents[owners]
    mask.flags.writeable = False  # many searches share it
    return Allowed(mask, int(np.count_nonzero(mask)), int(np.count_nonzero(documents)))


def _selection(bundle: Bundle, spec: DocumentsSpec) -> Selection:
    fields = spec.fields
    return Selection(
        partial(bundle.path, spec.path),
        spec.documents,
        fields=partial(bundle.path, fields.path) if fields else None,
        indexed=fields.names if fields else (),
    )


def _owners(bundle: Bundle, spec: DocumentsSpec) -> NDArray[np.int32]:
    owners: NDArray[np.int32] = bundle.array(spec.owners)
    source = bundle.root / spec.owners
    if owners.shape != (spec.passages,) or owners.dtype != np.int32:
        raise BundleError(
            f"{source}: holds {owners.dtype} {owners.shape}; expected int32 ({spec.passages},); "
            "rebuild the bundle"
        )
    if owners.min() < 0 or owners.max() >= spec.documents:
        raise BundleError(f"{source}: names a document beyond {spec.documents}; rebuild the bundle")
    return owners


def _check_rows(connection: sqlite3.Connection, passages: int, path: Path) -> None:
    """The ends of the table, found by a lookup each; what is missing between, `Documents.fetch` notices."""
    connection.execute(_FETCH.format(marks="")).fetchall()  # every table and column that a search reads
    ends = connection.execute(
        "SELECT (SELECT min(row) FROM passages), (SELECT max(row) FROM passages)"
    ).fetchone()
    if ends != (0, passages - 1):
        raise BundleError(
            f"{path}: passages {ends[0]} to {ends[1]}; expected 0 to {passages - 1}; rebuild the bundle"
        )


def _record(key: object, title: object, ordinal: object, text: object, metadata: object) -> Record:
    """One line of `_FETCH`, whose types SQLite does not promise. Raises ValueError and RecursionError."""
    about = json.loads(metadata) if isinstance(metadata, str) else None
    if (
        isinstance(key, str)
        and isinstance(title, str)
        and isinstance(ordinal, int)
        and isinstance(text, str)
        and isinstance(about, dict)
    ):
        return Record(key, title, ordinal, text, about)
    raise ValueError(f"a value of another type in document {key!r}")


def _unreadable(path: Path | str, error: Exception) -> str:
    return f"{path}: SQLite cannot read it ({error}); rebuild the bundle"
