"""The bundle's index of metadata fields, for filters: which documents have which value.

Written from the documents file when a bundle is put together, so that another choice of fields changes no
other file and encodes nothing anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np

from build_tools import documents
from build_tools.errors import BuildError
from edge_runtime.manifest import FieldsSpec
from edge_runtime.schema import shown
from edge_runtime.selection import FIELDS_SCHEMA, NAMED, PRESENT

FILENAME = "fields.sqlite"

Value = int | float | str | bytes

_ENTRIES = "CREATE TEMP TABLE entries (field TEXT, value, document INTEGER)"


def write(directory: Path, names: Sequence[str]) -> None:
    """Writes fields.sqlite beside documents.sqlite; sorting is SQLite's, so memory does not grow with either.

    Raises:
        BuildError: no document has one of the fields, or the file cannot be written.
    """
    path = directory / FILENAME
    path.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            check(directory, names)
            connection.executescript(FIELDS_SCHEMA)
            connection.execute(_ENTRIES)
            connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", _entries(directory, names))
            connection.executemany("INSERT INTO fields VALUES (?, ?, ?)", _rows(connection))
            connection.commit()
    except sqlite3.Error as error:
        raise BuildError(f"{path}: cannot be written ({error})") from None


def check(directory: Path, names: Sequence[str]) -> None:
    """Looks for each field, no further than to the first document that has it.

    Raises:
        BuildError: no document has one of them.
    """
    missing = list(names)
    for _, metadata in documents.metadata(directory):
        missing = [name for name in missing if name not in metadata]
        if not missing:
            return
    if missing:
        raise BuildError(f"filters.indexed: no document has the metadata field {shown(missing[0])}")


def spec_of(names: tuple[str, ...]) -> FieldsSpec | None:
    """The manifest's entry; none where there is no such field."""
    return FieldsSpec(FILENAME, names) if names else None


def _entries(directory: Path, names: Sequence[str]) -> Iterator[tuple[str, Value, int]]:
    """Field, value and document, an entry for each value of each document."""
    for number, metadata in documents.metadata(directory):
        for name in names:
            if name in metadata:
                yield name, PRESENT, number
                for value in set(_values(metadata[name])):
                    yield name, value, number


def _values(value: object) -> Iterable[Value]:
    """What a filter may find a document by: the elements of a list, otherwise the value itself."""
    for each in value if isinstance(value, list) else [value]:
        if each is None or isinstance(each, bool):
            yield NAMED[json.dumps(each)]
        elif isinstance(each, int):
            # Beyond 64 bits SQLite reads a JSON integer as a float, and so do filters. From its digits, for
            # one that no float holds is infinite then, as it is to SQLite.
            yield each if -(2**63) <= each < 2**63 else float(str(each))
        elif isinstance(each, (float, str)):
            yield each


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[str, Value, bytes]]:
    sorted_entries = connection.execute("SELECT * FROM entries ORDER BY field, value, document")
    for (field, value), entries in groupby(sorted_entries, key=lambda entry: entry[:2]):
        yield field, value, np.array([document for _, _, document in entries], "<i4").tobytes()
