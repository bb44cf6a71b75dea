"""Passage rows to documents and their texts: an SQLite file, and one array that says who owns which row."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.manifest import DocumentsSpec

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


@dataclass(frozen=True, slots=True)
class Record:
    """One passage with what its document says of itself."""

    key: str
    title: str
    ordinal: int
    text: str
    metadata: Mapping[str, Any]


class Documents:
    """The texts of a bundle, read a few rows at a time. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection, owners: NDArray[np.int32]) -> None:
        self._connection = connection
        self._owners = owners
        self._lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Bundle, spec: DocumentsSpec) -> Documents:
        """Opens the file read-only and immutable: no journal, no lock, nothing is ever written.

        Raises:
            BundleError: SQLite cannot read it, or it does not hold what the manifest says.
        """
        path = bundle.path(spec.path)
        owners = bundle.array(spec.owners)
        if owners.shape != (spec.passages,) or owners.dtype != np.int32:
            raise BundleError(f"{path}: {spec.owners} has {owners.shape}; expected ({spec.passages},) int32")
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            connection.execute("SELECT row FROM passages LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise BundleError(f"{path}: SQLite cannot read it ({error}); rebuild the bundle") from None
        return cls(connection, owners)

    def owners(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The document number of each row, shape as given."""
        return self._owners[rows]

    def fetch(self, rows: Sequence[int]) -> list[Record]:
        """The passages in these rows, in the order given."""
        statement = _FETCH.format(marks=",".join("?" * len(rows)))
        with self._lock:
            found = self._connection.execute(statement, [int(row) for row in rows]).fetchall()
        records = {
            row: Record(key, title, ordinal, text, json.loads(metadata))
            for row, key, title, ordinal, text, metadata in found
        }
        return [records[int(row)] for row in rows]

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
            self._owners = np.empty(0, np.int32)
