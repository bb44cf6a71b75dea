"""JSON Lines (jsonlines.org): one JSON object a line, UTF-8, read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from build_tools.corpus import records, utf8
from build_tools.corpus.problems import BadRecord, Record
from build_tools.corpus.records import Row
from build_tools.recipe import CorpusSpec

MAX_LINE_BYTES = 64 << 20
"""A longer line is a bad record: a file that is no JSON Lines at all must not fill the memory."""


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The documents of the file at ``spec.path``, fields named by ``spec.fields``."""
    return records.documents(rows(Path(spec.path or "")), spec.fields)


def rows(path: Path) -> Iterator[Row | BadRecord]:
    """Each line of `path` as an object; blank lines are passed over but counted in line numbers."""
    number = 0
    with path.open("rb") as file:
        for line_number, raw in _lines(file):
            if raw is not None and not raw.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            number += 1
            origin = f"{utf8.printable(path)}:{line_number}"
            yield _row(raw and raw.rstrip(b"\r\n"), origin, number)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Line numbers from 1 with the bytes of each line, or None for one that is too long."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES):
        number += 1
        too_long = len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n")
        yield number, None if too_long else raw
        while too_long and raw and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES)


def _row(raw: bytes | None, origin: str, number: int) -> Row | BadRecord:
    if raw is None:
        return BadRecord(origin, "line too long", f"expected at most {MAX_LINE_BYTES >> 20} MiB")
    try:
        value = json.loads(utf8.decode(raw), parse_constant=_reject_constant)
    except utf8.NotUtf8Error as error:
        return BadRecord(origin, "not UTF-8", f"expected UTF-8; {error}")
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at column {error.colno}{_hint(raw)}"
        return BadRecord(origin, "malformed JSON", f"expected one JSON object a line; {detail}")
    except ValueError as error:
        return BadRecord(origin, "malformed JSON", str(error))
    except RecursionError:
        return BadRecord(origin, "malformed JSON", "expected a flat object; found one nested too deeply")
    if not isinstance(value, dict):
        found = f"{type(value).__name__}{_hint(raw)}"
        return BadRecord(origin, "not a JSON object", f"expected an object in braces; found a {found}")
    return Row(origin, number, value)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"expected a JSON number; found {name}, which JSON does not have")


def _hint(raw: bytes) -> str:
    is_array = raw.lstrip(b"\xef\xbb\xbf \t").startswith(b"[")
    return " (a JSON array? `jq -c '.[]'` turns it into lines)" if is_array else ""
