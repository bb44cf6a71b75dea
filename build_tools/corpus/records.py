"""Records of named fields to documents: what `jsonl` and `csv` share once a line is parsed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, Record
from build_tools.errors import CorpusError
from build_tools.recipe import Fields

DEFAULT_ID = Fields().id

_OR_NONE = {
    "id": ", or corpus.fields.id=null to number the records",
    "title": ", or corpus.fields.title=null for none",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One parsed record. `number` counts records from 1; `values` holds its fields by name."""

    origin: str
    number: int
    values: Mapping[str, object]


class FieldError(ValueError):
    """A field is missing or of the wrong type; `reason` names the kind of problem."""

    def __init__(self, reason: str, detail: str) -> None:
        """Takes both parts of the message."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def documents(rows: Iterable[Row | BadRecord], fields: Fields) -> Iterator[Record]:
    """Each row as a document, or as the bad record that it is.

    The first row decides whether records carry their own key: when it has no field of the default name
    ``id``, all are numbered. A name that the recipe chose itself is required.

    Raises:
        CorpusError: a record has a key where the first has none, or the first has a field of a default name
            in other case.
    """
    first: Row | None = None
    numbered = False
    for row in rows:
        if isinstance(row, BadRecord):
            yield row
            continue
        if first is None:
            first, numbered = row, are_numbered(row, fields)
            _check_case(row, fields)
        elif numbered and fields.id in row.values:
            raise CorpusError(
                f"{row.origin}: record {first.number} has no {fields.id!r}, record {row.number} has; "
                "give every record one, or set corpus.fields.id=null"
            )
        try:
            yield _document(row, fields, numbered=numbered)
        except FieldError as error:
            yield BadRecord(row.origin, error.reason, error.detail)


def are_numbered(first: Row, fields: Fields) -> bool:
    """Whether records are known by number instead of a key; the first row decides."""
    return fields.id is None or (fields.id == DEFAULT_ID and fields.id not in first.values)


def in_other_case(name: str, names: Iterable[str]) -> str | None:
    """The first of `names` that is `name` but for upper and lower case."""
    return next((other for other in names if other != name and other.casefold() == name.casefold()), None)


def key_of(row: Row, name: str) -> str:
    """The record's key: text, or a number as text.

    Raises:
        FieldError: the field is missing, or neither text nor a finite number.
    """
    value = _required(row, name)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value):
        return str(value)
    return _text(value, name)


def text_of(row: Row, name: str) -> str:
    """The field `name`, which must be there and be text.

    Raises:
        FieldError: it is missing or something else.
    """
    return _text(_required(row, name), name)


def optional_text_of(row: Row, name: str | None) -> str:
    """The field `name`; empty when it is missing, null, or not asked for.

    Raises:
        FieldError: it is neither text nor null.
    """
    value = row.values.get(name) if name else None
    return "" if value is None else _text(value, name or "")


def _check_case(first: Row, fields: Fields) -> None:
    default = Fields()
    for setting in ("id", "title", "text"):
        name = getattr(fields, setting)
        if name != getattr(default, setting) or name in first.values:
            continue
        if found := in_other_case(name, first.values):
            raise CorpusError(
                f"{first.origin}: expected the field {name!r}; found {found!r}; "
                f"set corpus.fields.{setting}={found}{_OR_NONE.get(setting, '')}"
            )


def _document(row: Row, fields: Fields, *, numbered: bool) -> Document:
    key = str(row.number) if numbered or fields.id is None else key_of(row, fields.id)
    return Document(
        key=key,
        title=optional_text_of(row, fields.title),
        text=text_of(row, fields.text),
        metadata={name: row.values[name] for name in fields.metadata if name in row.values},
        origin=row.origin,
    )


def _required(row: Row, name: str) -> object:
    value = row.values.get(name)
    if value is None:
        found = "null" if name in row.values else _listed(row.values)
        raise FieldError(f"missing field {name!r}", f"expected {name!r}; found {found}")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise FieldError(f"wrong type in field {name!r}", f"expected text; found {_shown(value)}")
    return value


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in list(names)[:12]) or "no fields"


def _shown(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)
