"""What the benchmark asks: files of queries, a bundle's own golden ones, or the caller's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, QueryError
from edge_runtime.schema import shown

JSON_KEYS = ("query", "text")
"""Where a JSON line keeps its query; ``text`` is BEIR's."""


def read(path: Path) -> tuple[str, ...]:
    """The queries of a UTF-8 file, in order; blank lines are skipped.

    A file named ``*.jsonl`` holds an object a line with the query under one of `JSON_KEYS`; any other file
    holds a query a line.

    Raises:
        QueryError: unreadable, not UTF-8, a malformed line, or no query at all.
    """
    lines = enumerate(_text(path).split("\n"), start=1)
    filled = [(number, line.strip()) for number, line in lines if line.strip()]
    if not filled:
        raise QueryError(f"{path}: no query in it; expected one a line")
    if path.suffix != ".jsonl":
        return tuple(line for _, line in filled)
    return tuple(_query(line, f"{path}, line {number}") for number, line in filled)


def golden(bundle: Bundle) -> tuple[str, ...]:
    """The queries that came with a bundle.

    Raises:
        BundleError: it has none, or they cannot be read.
    """
    try:
        return read(bundle.path(bundle.manifest.golden))
    except QueryError as error:
        raise BundleError(f"{error}; give queries of your own with --queries FILE") from None


def checked(queries: Sequence[str]) -> tuple[str, ...]:
    """The caller's own queries; whether each has a word in it is for the search to say.

    Raises:
        QueryError: not a list of texts, or empty.
    """
    if isinstance(queries, str) or not isinstance(queries, Sequence) or not queries:
        raise QueryError(f"queries: expected a list of at least one; found {shown(queries)}")
    for query in queries:
        if not isinstance(query, str):
            raise QueryError(f"query: expected text; found {type(query).__name__}")
    return tuple(queries)


def check_count(name: str, value: int, *, least: int) -> None:
    """Refuses a number of queries that is no whole number from `least`.

    Raises:
        QueryError: names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise QueryError(f"{name}: expected a whole number from {least}; found {shown(value)}")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise QueryError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None


def _query(line: str, place: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise QueryError(f"{place}: not JSON; expected an object with a 'query'") from None
    values = [record[key] for key in JSON_KEYS if key in record] if isinstance(record, dict) else []
    if not values or not isinstance(values[0], str) or not values[0].strip():
        raise QueryError(f"{place}: expected an object with text under 'query' (or 'text')")
    return values[0]
