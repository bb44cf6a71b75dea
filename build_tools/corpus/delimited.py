"""CSV and its relatives (RFC 4180, any one-character separator): a header row, then a record a row."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from build_tools.corpus import records, utf8
from build_tools.corpus.problems import BadRecord, Record
from build_tools.corpus.records import Row
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields

MAX_FIELD_CHARACTERS = 16 << 20
"""A longer field is a bad record: the search for the end of an unclosed quote must not fill the memory."""

MAX_ROW_LINES = 1 << 18
"""The same for a row of more lines, which a list of short ones could fill it with."""

_SEPARATOR = re.compile(r'"?sep=(?P<separator>[^"\r\n])"?\s*', re.IGNORECASE)


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The documents of the file at ``spec.path``, columns named by ``spec.fields``.

    Raises:
        CorpusError: the header row is missing, repeats a name or lacks a column that the recipe names.
    """
    found = rows(Path(spec.path or ""), spec.delimiter, needed=_needed(spec.fields))
    return records.documents(found, spec.fields)


def rows(
    path: Path, delimiter: str, *, needed: Sequence[str], settings: str = "corpus.fields"
) -> Iterator[Row | BadRecord]:
    """Each row of `path` by column name, or as the bad record that it is.

    Args:
        needed: columns that must be there.
        settings: where the recipe names them, for errors.

    Raises:
        CorpusError: the header row is missing, repeats a name or lacks a column in `needed`.
    """
    # Bytes that are not UTF-8 become lone surrogates, so that one bad row does not end the stream.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        parsed = _parse(lines, _separator(lines) or delimiter)
        header = _header(parsed, utf8.printable(path), needed, settings)
        for number, (line_number, cells) in enumerate(parsed, 1):
            yield _row(cells, header, f"{utf8.printable(path)}:{line_number}", number)


def _separator(lines: _Lines) -> str | None:
    """That of a first line ``sep=;``, which is Excel's and no row; otherwise `lines` is as it was."""
    found = _SEPARATOR.fullmatch(next(lines, ""))
    if not found:
        lines.back_to(0)
    return found["separator"] if found else None


def _parse(lines: _Lines, delimiter: str) -> Iterator[tuple[int, Sequence[str] | csv.Error]]:
    """Rows that are not blank, each with the line that it starts on, or the error met there.

    Of a row with a quote that is not closed, the error is at the line where the quote opens, and reading goes
    on with the line after that.
    """
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    except (TypeError, ValueError) as error:
        raise CorpusError(f"corpus.delimiter: expected a separator; found {delimiter!r} ({error})") from None
    while True:
        lines.row.clear()
        try:
            row: Sequence[str] | csv.Error = _next_row(reader)
        except csv.Error as error:
            row = _unclosed(error, lines, delimiter)
        except StopIteration:
            return
        if row:
            yield lines.number - len(lines.row) + 1, row


class _Lines:
    """The lines of a file; those of the row at hand can be read again.

    Attributes:
        row: the lines read since it was last cleared.
        number: of the last line read.
    """

    def __init__(self, file: TextIO) -> None:
        self.row: list[str] = []
        self.number = 0
        self._file = file
        self._again: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.row) == MAX_ROW_LINES:
            raise csv.Error(f"more than {MAX_ROW_LINES} lines in one row")
        line = self._again.pop() if self._again else next(self._file).replace("\0", "")
        self.row.append(line)
        self.number += 1
        return line

    def back_to(self, count: int) -> None:
        """All lines of the row but the first `count` will be read again."""
        again = self.row[count:]
        del self.row[count:]
        self._again += reversed(again)
        self.number -= len(again)


def _unclosed(error: csv.Error, lines: _Lines, delimiter: str) -> csv.Error:
    """The error, with `lines` behind the line where the quote of its row opens, and `row` at that line."""
    at_end = "unexpected end" in str(error)
    if len(lines.row) == 1 and not at_end:
        return error
    # Each line but the last begins inside of quotes. Where others open, there is more than one field.
    inside = lines.row[1:] if at_end else lines.row[1:-1]
    opening = 1
    for place, line in enumerate(inside, 2):
        if '"' in line and len(_next_row(csv.reader(['"' + line], delimiter=delimiter))) > 1:
            opening = place
    lines.back_to(opening)
    del lines.row[:-1]
    return csv.Error(f"the quote that opens in this line is not closed ({error})")


def _next_row(reader: Iterator[list[str]]) -> list[str]:
    # The limit is global to the process, so it is raised only while our own rows are parsed.
    limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(limit)


def _header(
    parsed: Iterator[tuple[int, Sequence[str] | csv.Error]],
    path: str,
    needed: Sequence[str],
    settings: str,
) -> tuple[str, ...]:
    line_number, row = next(parsed, (1, ()))
    if not row:
        raise CorpusError(f"{path}: expected a header row; found an empty file")
    if isinstance(row, csv.Error) or _has_bad_bytes(row):
        problem = str(row) if isinstance(row, csv.Error) else f"expected UTF-8; {_bad_bytes(row)}"
        raise CorpusError(f"{path}:{line_number}: the header row cannot be read: {problem}")
    names = tuple(name.strip() for name in row)
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise CorpusError(f"{path}:{line_number}: expected each column once; found twice: {', '.join(twice)}")
    missing = [name for name in needed if name not in names]
    if missing:
        raise CorpusError(f"{path}:{line_number}: {_missing_columns(missing, names, settings)}")
    return names


def _needed(fields: Fields) -> tuple[str, ...]:
    """Columns that must be there: the text, and every other one that the recipe names itself."""
    default = Fields()
    chosen = [
        name for name, usual in ((fields.id, default.id), (fields.title, default.title)) if name != usual
    ]
    return (fields.text, *(name for name in chosen if name), *fields.metadata)


def _missing_columns(missing: Sequence[str], names: Sequence[str], settings: str) -> str:
    wanted = ", ".join(repr(name) for name in missing)
    found = ", ".join(repr(name) for name in names)
    advice = f"name the right ones under {settings}"
    if len(names) == 1 and settings == "corpus.fields":
        advice = "set corpus.delimiter"
    elif missing == [Fields().text] and (other := records.in_other_case(missing[0], names)):
        advice = f"set corpus.fields.text={other}"
    return f"expected the column {wanted} in the header row; found {found}; {advice}"


def _row(
    cells: Sequence[str] | csv.Error, header: tuple[str, ...], origin: str, number: int
) -> Row | BadRecord:
    if isinstance(cells, csv.Error):
        return BadRecord(origin, "malformed row", f"expected quoting as in RFC 4180; {cells}")
    if _has_bad_bytes(cells):
        return BadRecord(origin, "not UTF-8", f"expected UTF-8; {_bad_bytes(cells)}")
    if len(cells) != len(header):
        detail = f"expected {len(header)}, as in the header row; found {len(cells)}"
        return BadRecord(origin, "wrong number of fields", detail)
    return Row(origin, number, dict(zip(header, cells, strict=True)))


def _has_bad_bytes(cells: Sequence[str]) -> bool:
    joined = "".join(cells)
    if joined.isascii():
        return False
    return any("\ud800" <= character <= "\udfff" for character in joined)


def _bad_bytes(cells: Sequence[str]) -> str:
    """What is wrong with the first cell that is not UTF-8, and what to do."""
    for cell in cells:
        try:
            utf8.decode(cell.encode("utf-8", "surrogateescape"))
        except utf8.NotUtf8Error as error:
            return str(error)
    return "convert it with iconv -t UTF-8"
