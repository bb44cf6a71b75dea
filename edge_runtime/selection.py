"""The documents that a filter allows.

Each condition is one SQL statement: for a field that the bundle indexes, a look-up in fields.sqlite, whose
rows carry the numbers of their documents; for any other, a scan of the metadata in documents.sqlite. `and`,
`or` and `not` then join arrays of true and false. What a caller gives is only ever a parameter, and the text
of every statement stands in this file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import filters
from edge_runtime.errors import BundleError, ClosedError
from edge_runtime.filters import AnyOf, Condition, Exists, Filter, Not, Range, Scalar

FIELDS_SCHEMA = """
CREATE TABLE fields (
    field TEXT NOT NULL,
    value NOT NULL,
    documents BLOB NOT NULL,
    PRIMARY KEY (field, value)
) WITHOUT ROWID;
"""
"""Of fields.sqlite. `value` is a number, a text, or a blob: one of `NAMED`, or `PRESENT`, which has the
documents that have the field at all. `documents` is int32, little-endian, rising.
"""

NAMED = {"true": b"true", "false": b"false", "null": b"null"}
PRESENT = b"present"

_AT_ONCE = 500  # SQLite before 3.32 takes 999 parameters

_INDEXED = "SELECT documents FROM fields WHERE field = ? AND "

# SQLite sorts numbers before texts and texts before blobs, so a range of either ends where the next begins.
_KIND = {False: "value < ''", True: "value >= '' AND value < x''"}

# An array counts by its elements. CASE alone promises not to compute json_each(f.value) for anything else.
_SCAN = """
SELECT id FROM documents WHERE EXISTS (
    SELECT 1 FROM json_each(documents.metadata) AS f WHERE f.key = ?1 AND CASE f.type
        WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each(f.value) AS v WHERE {of_element})
        ELSE {of_field}
    END
)
"""

_SCAN_PRESENT = """
SELECT id FROM documents
WHERE EXISTS (SELECT 1 FROM json_each(documents.metadata) AS f WHERE f.key = ?1)
"""

_EQUAL = (
    "({0}.type IN ('integer', 'real', 'text') AND {0}.atom IN (SELECT atom FROM json_each(?2))"
    " OR {0}.type IN (SELECT atom FROM json_each(?3)))"
)
_NUMBER, _TEXT = "{0}.type IN ('integer', 'real')", "{0}.type = 'text'"


Locate = Callable[[], Path]
"""Where a file lies when it is opened; raises `BundleError` where it no longer does."""


class Selection:
    """Finds documents by metadata. Thread-safe; its files are opened when they are first asked."""

    def __init__(
        self, documents: Locate, count: int, *, fields: Locate | None, indexed: Sequence[str]
    ) -> None:
        """`count` is the number of documents, `fields` the file that indexes the fields of `indexed`."""
        self._documents = _File(documents)
        self._fields = None if fields is None else _File(fields)
        self._count = count
        self._indexed = frozenset(indexed)

    def select(self, tree: Filter) -> NDArray[np.bool_]:
        """True for each document that the filter allows, bool (documents,).

        Raises:
            BundleError: SQLite cannot read a file, or it does not hold what the format says.
            ClosedError: after `close`.
        """
        if isinstance(tree, Not):
            return ~self.select(tree.part)
        if isinstance(tree, filters.All):
            return reduce(np.logical_and, map(self.select, tree.parts), np.ones(self._count, np.bool_))
        if isinstance(tree, filters.Any):
            return reduce(np.logical_or, map(self.select, tree.parts), np.zeros(self._count, np.bool_))
        if self._fields is not None and tree.field in self._indexed:
            return self._look_up(self._fields, tree)
        return self._scan(tree)

    def close(self) -> None:
        """Closes both files."""
        for file in (self._documents, self._fields):
            if file is not None:
                file.close()

    def _look_up(self, file: _File, condition: Condition) -> NDArray[np.bool_]:
        if isinstance(condition, Range):
            tests = "".join(f" AND value {comparison} ?" for comparison, _ in condition.bounds)
            statement = _INDEXED + _KIND[isinstance(condition.bounds[0][1], str)] + tests
            bounds = [bound for _, bound in condition.bounds]
            return self._marked(file, file.run(statement, [condition.field, *bounds]))
        values: list[str | int | float | bytes] = [PRESENT]
        if isinstance(condition, AnyOf):
            values = [*condition.scalars, *(NAMED[name] for name in condition.named)]
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            statement = f"{_INDEXED}value IN ({','.join('?' * len(some))})"
            rows += file.run(statement, [condition.field, *some])
        return self._marked(file, rows)

    def _marked(self, file: _File, rows: list[tuple[Any, ...]]) -> NDArray[np.bool_]:
        """True for the documents that any of the rows lists."""
        try:
            numbers = np.frombuffer(b"".join(row[0] for row in rows), "<i4")
        except (TypeError, ValueError):
            raise BundleError(file.problem("a list of documents that is none")) from None
        return self._mask(file, numbers)

    def _scan(self, condition: Condition) -> NDArray[np.bool_]:
        statement, parameters = _scanning(condition)
        rows = self._documents.run(statement, parameters)
        numbers = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return self._mask(self._documents, numbers)

    def _mask(self, file: _File, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self._count:
            raise BundleError(file.problem(f"names a document beyond {self._count}"))
        mask = np.zeros(self._count, np.bool_)
        mask[numbers] = True
        return mask


def _scanning(condition: Condition) -> tuple[str, list[Scalar]]:
    """The statement that finds a condition's documents by their metadata, and its parameters."""
    if isinstance(condition, Exists):
        return _SCAN_PRESENT, [condition.field]
    parameters: list[Scalar] = [condition.field]
    if isinstance(condition, AnyOf):
        # As JSON, so that SQLite reads these numbers by the routine that reads the metadata's.
        test = _EQUAL
        parameters += [json.dumps(condition.scalars), json.dumps(condition.named)]
    else:
        test = _TEXT if isinstance(condition.bounds[0][1], str) else _NUMBER
        for place, (comparison, bound) in enumerate(condition.bounds, start=2):
            test += f" AND {{0}}.atom {comparison} ?{place}"
            parameters.append(bound)
    return _SCAN.format(of_element=test.format("v"), of_field=test.format("f")), parameters


class _File:
    """An SQLite file of the bundle, opened when first asked, with a lock of its own: a scan holds up no
    thread that fetches texts.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, statement: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with self._lock, closing(self._open().execute(statement, parameters)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise BundleError(self.problem(f"SQLite cannot read it ({error})")) from None

    def problem(self, what: str) -> str:
        return f"{self._locate()}: {what}; rebuild the bundle"

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise ClosedError("the documents have been closed; open the bundle again")
        if self._connection is None:
            self._connection = connect(self._locate())
        return self._connection


def connect(path: Path) -> sqlite3.Connection:
    """An SQLite file of a bundle, read-only and immutable: no journal, no lock, nothing is ever written.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        # Few rows are read twice, and the system caches the file anyway: SQLite's own 2 MB are waste.
        connection.execute("PRAGMA cache_size = -256")
        connection.execute("PRAGMA temp_store = MEMORY")  # there may be no place to write to
    except sqlite3.Error:
        connection.close()
        raise
    return connection
