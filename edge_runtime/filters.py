"""A search's `where` to a small checked tree; docs/search.md is the language's reference.

Parsing needs no bundle: what can be wrong with a filter is found here, in one `QueryError` that names the
place. `selection` finds the documents that the tree allows.
"""

from __future__ import annotations

import json
import math
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from edge_runtime import schema
from edge_runtime.errors import QueryError

MAX_DEPTH = 16
"""How deep `and`, `or` and `not` may stand in each other."""

MAX_CONDITIONS = 256
"""Conditions of a filter, `and`, `or` and `not` among them."""

MAX_VALUES = 10_000
"""Values that a filter compares with, all lists of `in` together."""

MAX_CHARS = 1 << 18
"""Characters of a filter's texts and field names together."""

OPERATORS = ("eq", "ne", "in", "gt", "gte", "lt", "lte", "exists")

Scalar: TypeAlias = int | float | str
Named: TypeAlias = Literal["true", "false", "null"]
Comparison: TypeAlias = Literal[">", ">=", "<", "<="]

_EXAMPLE = '{"section": "1"}'
_RANGES: dict[str, Comparison] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field has a value equal to one of these.

    Attributes:
        scalars: numbers and texts. Integers beyond 64 bits are floats, as SQLite reads them from JSON.
        named: the rest apart, since Python takes True for 1.
    """

    field: str
    scalars: tuple[Scalar, ...]
    named: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The field has a value within all bounds, which are numbers alone or texts alone."""

    field: str
    bounds: tuple[tuple[Comparison, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The document has the field, whatever its value."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """What `part` does not allow."""

    part: Filter


@dataclass(frozen=True, slots=True)
class All:
    """What every part allows; without parts, everything."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """What some part allows; without parts, nothing."""

    parts: tuple[Filter, ...]


Condition: TypeAlias = AnyOf | Range | Exists
Filter: TypeAlias = Condition | Not | All | Any


def parse(where: Mapping[str, object]) -> Filter:
    """Checks a `where` and returns its tree; equal trees allow the same documents.

    Raises:
        QueryError: not a filter, or larger than the limits above. The message names the place.
    """
    return _Parser().conditions(where, ("where",), 0)


def from_json(text: str) -> dict[str, object]:
    """A `where` from a command line.

    Raises:
        QueryError: not a JSON object, or a key that stands twice, of which Python would drop one.
    """
    try:
        where = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise QueryError(f"where: nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        problem = f"{error.msg}, column {error.colno}" if error.lineno == 1 else str(error)
        raise QueryError(f"where: not JSON ({problem}); write it like {_EXAMPLE}") from None
    except QueryError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise QueryError(f"where: not JSON ({error}); write it like {_EXAMPLE}") from None
    if not isinstance(where, dict):
        raise QueryError(f"where: expected a JSON object like {_EXAMPLE}; found {schema.shown(where)}")
    return where


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise QueryError(f'where: {schema.shown(twice)} stands twice; join the two with "and"')
    return found


class _Parser:
    """One parse: counts, so that a filter's size is bounded whatever its shape."""

    def __init__(self) -> None:
        self._conditions = self._values = self._chars = 0

    def conditions(self, where: object, path: schema.Path, depth: int) -> Filter:
        if not isinstance(where, Mapping):
            _refuse(path, "a mapping of fields to conditions", where)
        if depth > MAX_DEPTH:
            raise QueryError(f"{_place(path)}: nested deeper than {MAX_DEPTH} levels")
        parts = tuple(self._entry(key, value, path, depth) for key, value in where.items())
        return parts[0] if len(parts) == 1 else All(parts)

    def _entry(self, key: object, value: object, path: schema.Path, depth: int) -> Filter:
        name = self._text(key, path, "text as a field's name")
        path = (*path, name)
        self._conditions = _count(self._conditions + 1, MAX_CONDITIONS, "conditions", path)
        if name == "not":
            return Not(self.conditions(value, path, depth + 1))
        if name not in ("and", "or"):
            return self._field(name, value, path)
        if not isinstance(value, (list, tuple)):
            _refuse(path, "a list of filters", value)
        parts = tuple(self.conditions(part, (*path, i), depth + 1) for i, part in enumerate(value))
        # Empty parts count too: a list of a million of them is as long to go through.
        self._conditions = _count(self._conditions + len(parts), MAX_CONDITIONS, "conditions", path)
        return All(parts) if name == "and" else Any(parts)

    def _field(self, field: str, asked: object, path: schema.Path) -> Filter:
        if isinstance(asked, (list, tuple, set, frozenset)):
            problem = (
                f'expected a value or operators; found {schema.shown(asked)} (did you mean {{"in": […]}}?)'
            )
            raise QueryError(f"{_place(path)}: {problem}")
        if not isinstance(asked, Mapping):
            return self._any_of(field, [asked], [path])
        if not asked:
            raise QueryError(f"{_place(path)}: expected an operator such as eq or gte; found none")
        parts = [self._operator(field, name, asked[name], path) for name in asked if name not in _RANGES]
        if bounds := {name: asked[name] for name in asked if name in _RANGES}:
            parts.append(self._range(field, bounds, path))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _operator(self, field: str, name: object, value: object, path: schema.Path) -> Filter:
        name = self._text(name, path, "text as an operator")
        path = (*path, name)
        if name not in OPERATORS:
            raise QueryError(f"{_place(path)}: {schema.unknown_key(name, OPERATORS)}")
        if name == "exists":
            wanted = _plain(value)
            if not isinstance(wanted, bool):
                _refuse(path, "true or false", value)
            return Exists(field) if wanted else Not(Exists(field))
        if name != "in":
            found = self._any_of(field, [value], [path])
            return found if name == "eq" else Not(found)
        if not isinstance(value, (list, tuple)):
            _refuse(path, "a list of values", value)
        _count(self._values + len(value), MAX_VALUES, "values", path)
        return self._any_of(field, value, [(*path, i) for i in range(len(value))])

    def _any_of(
        self, field: str, values: list[object] | tuple[object, ...], paths: list[schema.Path]
    ) -> AnyOf:
        scalars: list[Scalar] = []
        named: list[Named] = []
        for value, path in zip(map(_plain, values), paths, strict=True):
            if value is None:
                named.append("null")
            elif isinstance(value, bool):
                named.append("true" if value else "false")
            else:
                scalars.append(self._scalar(value, path, "text, a number, true, false or null"))
        return AnyOf(field, tuple(scalars), tuple(named))

    def _range(self, field: str, bounds: Mapping[str, object], path: schema.Path) -> Range:
        checked = tuple(
            (_RANGES[name], self._scalar(_plain(value), (*path, name), "a number or text"))
            for name, value in bounds.items()
        )
        if len({isinstance(value, str) for _, value in checked}) > 1:
            raise QueryError(f"{_place(path)}: expected bounds of one type; found a number and text")
        return Range(field, checked)

    def _scalar(self, value: object, path: schema.Path, expected: str) -> Scalar:
        self._values = _count(self._values + 1, MAX_VALUES, "values", path)
        if isinstance(value, str):
            return self._text(value, path, expected)
        if isinstance(value, float):
            if not math.isfinite(value):
                _refuse(path, "a finite number", value)
            return float(value)
        try:
            if isinstance(value, bool):
                raise TypeError
            number = operator.index(value)  # type: ignore[arg-type]
            return number if -(2**63) <= number < 2**63 else float(number)
        except TypeError:
            _refuse(path, expected, value)
        except OverflowError:
            _refuse(path, "a number that fits a double", value)

    def _text(self, value: object, path: schema.Path, expected: str) -> str:
        if not isinstance(value, str):
            _refuse(path, expected, value)
        self._chars = _count(self._chars + len(value), MAX_CHARS, "characters", path)
        if "\0" in value:  # where SQLite's JSON functions end a text
            _refuse(path, "text without NUL", value)
        try:
            return value.encode().decode()
        except UnicodeEncodeError:
            _refuse(path, "valid Unicode", value)


def _plain(value: object) -> object:
    """Python's own value for one of NumPy's, which is not imported for that."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value


def _count(number: int, most: int, what: str, path: schema.Path) -> int:
    """`number`, which must not exceed the limit."""
    if number > most:
        raise QueryError(f"{_place(path)}: a filter has at most {most:,} {what}; this one has more")
    return number


def _place(path: schema.Path) -> str:
    return schema.dotted(path)


def _refuse(path: schema.Path, expected: str, found: object) -> NoReturn:
    raise QueryError(f"{_place(path)}: expected {expected}; found {schema.shown(found)}") from None
