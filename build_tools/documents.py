"""Passages to the bundle's SQLite file, and back again for the stages that read them.

The file is written first and is what every later stage streams from, so no stage holds the corpus.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools.corpus.document import Passage
from build_tools.errors import BuildError
from edge_runtime.bundle import Bundle
from edge_runtime.documents import SCHEMA
from edge_runtime.manifest import DocumentsSpec, FieldsSpec

FILENAME = "documents.sqlite"
OWNERS = "documents.npy"


_PASSAGES = (
    "SELECT key, ordinal, title, text, metadata FROM passages "
    "JOIN documents ON documents.id = passages.document"
)


@dataclass(frozen=True, slots=True)
class Written:
    """How much a documents file holds."""

    documents: int
    passages: int


def write(passages: Iterable[Passage], directory: Path) -> Written:
    """Writes documents.sqlite and documents.npy.

    A document's passages must follow each other. Rows are numbered from 0 in the order given.

    Raises:
        BuildError: the disk is full, or a document's passages do not follow each other.
    """
    path = directory / FILENAME
    path.unlink(missing_ok=True)
    try:
        with closing(_create(path)) as connection:
            owners = _insert_all(connection, passages)
            connection.commit()
    except sqlite3.Error as error:
        raise BuildError(f"{path}: cannot be written ({error})") from None
    np.save(directory / OWNERS, np.array(owners, np.int32))
    return Written(documents=owners[-1] + 1 if owners else 0, passages=len(owners))


def read(directory: Path) -> Iterator[Passage]:
    """Every passage, in row order."""
    with closing(sqlite3.connect(directory / FILENAME)) as connection:
        yield from map(_passage, connection.execute(f"{_PASSAGES} ORDER BY row"))


def sample(directory: Path, count: int) -> dict[int, Passage]:
    """At most `count` passages by row, evenly spread."""
    owned = len(owners(directory))
    rows = sorted({owned * place // count for place in range(count)})
    with closing(sqlite3.connect(directory / FILENAME)) as connection:
        found = connection.execute(
            f"{_PASSAGES} WHERE row IN ({','.join('?' * len(rows))}) ORDER BY row", rows
        )
        return dict(zip(rows, map(_passage, found), strict=True))


def keys(directory: Path) -> list[str]:
    """The key of every document, by document number."""
    with closing(sqlite3.connect(directory / FILENAME)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM documents ORDER BY id")]


def metadata(directory: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Every document's number and metadata, in order."""
    with closing(sqlite3.connect(directory / FILENAME)) as connection:
        for number, text in connection.execute("SELECT id, metadata FROM documents ORDER BY id"):
            yield number, json.loads(text)


def keys_of(bundle: Path) -> list[str]:
    """The same of a bundle, whose bytes are checked first.

    Raises:
        edge_runtime.BundleError: not a bundle, or not as it was built.
    """
    Bundle.open(bundle).close()
    return keys(bundle)


def owners(directory: Path) -> NDArray[np.int32]:
    """The document number of every row, int32 (passages,), never falling."""
    array: NDArray[np.int32] = np.load(directory / OWNERS)
    return array


def spec_of(written: Written, fields: FieldsSpec | None) -> DocumentsSpec:
    """The manifest's entry."""
    return DocumentsSpec(
        path=FILENAME,
        owners=OWNERS,
        passages=written.passages,
        documents=written.documents,
        writer={"sqlite": sqlite3.sqlite_version},
        fields=fields,
    )


def _passage(row: tuple[str, int, str, str, str]) -> Passage:
    key, ordinal, title, text, metadata = row
    return Passage(key, ordinal, title, text, json.loads(metadata))


def _create(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    # An interrupted write is thrown away and begun again, so nothing needs a journal.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(SCHEMA)
    return connection


def _insert_all(connection: sqlite3.Connection, passages: Iterable[Passage]) -> list[int]:
    """Inserts every passage and returns the document number of each."""
    owners: list[int] = []
    last, document = None, -1
    for row, passage in enumerate(passages):
        if passage.document != last:
            last, document = passage.document, document + 1
            _insert_document(connection, document, passage)
        values = (row, document, passage.ordinal, passage.text)
        connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", values)
        owners.append(document)
    return owners


def _insert_document(connection: sqlite3.Connection, number: int, passage: Passage) -> None:
    metadata = json.dumps(dict(passage.metadata), ensure_ascii=False, sort_keys=True)
    values = (number, passage.document, passage.title, metadata)
    connection.execute("INSERT INTO documents VALUES (?, ?, ?, ?)", values)
