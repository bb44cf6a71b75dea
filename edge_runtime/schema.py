"""Plain YAML values to typed, frozen dataclasses; every mismatch says where and what was expected.

One small decoder serves the bundle's manifest (here) and the recipe (on the desktop, which adds line
numbers). It knows the types that those need: scalars, ``Literal``, ``X | None``, ``tuple[X, ...]``,
``Mapping[str, X]`` and nested dataclasses.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")
Path = tuple[str | int, ...]

_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_INT_BITS = 64
_SCALARS = {bool: "true or false", int: "a whole number", str: "text"}


class SchemaError(ValueError):
    """A value does not fit its type.

    Attributes:
        path: keys and list positions from the root to the offending value.
        problem: what was expected and what was found.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{dotted(path) or 'the document'}: {problem}")
        self.path = path
        self.problem = problem


def dotted(path: Path) -> str:
    """``("encoders", 0, "id")`` as ``encoders.0.id``."""
    return ".".join(_key(part) for part in path)


def decode(kind: type[T], value: object, path: Path = ()) -> T:
    """Checks `value` against the annotation `kind` and returns it as that type.

    Raises:
        SchemaError: an unknown or missing key, a wrong type, or a value outside its ``Literal``.
    """
    return typing.cast(T, _decode(kind, value, path))


def encode(value: object) -> object:
    """A dataclass back to plain values, in field order, such that `decode` returns an equal one.

    A field that is None is left out when that is its default, and written as None otherwise.
    """
    if dataclasses.is_dataclass(value):
        return encode_fields(value)
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def encode_fields(value: Any) -> dict[str, object]:
    """`encode` for what is known to be a dataclass."""
    fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {f.name: encode(item) for f, item in fields if item is not None or f.default is not None}


@cache
def field_types(kind: Any) -> Mapping[str, Any]:
    """The fields of the dataclass `kind` in order, each with its resolved annotation."""
    hints = typing.get_type_hints(kind)
    return types.MappingProxyType({field.name: hints[field.name] for field in dataclasses.fields(kind)})


def require(condition: bool, field: str, problem: str) -> None:
    """For a ``__post_init__``: refuses the dataclass because of `field`.

    Raises:
        SchemaError: not `condition`.
    """
    if not condition:
        raise SchemaError((field,), problem)


def require_match(pattern: re.Pattern[str], value: str, field: str, expected: str) -> None:
    """`require` that all of a text fits `pattern`, which `expected` says in words."""
    require(bool(pattern.fullmatch(value)), field, f"expected {expected}; found {shown(value)}")


def require_positive(spec: object, *fields: str) -> None:
    """`require` that each of these fields of `spec` is more than 0."""
    for field in fields:
        value = getattr(spec, field)
        require(value > 0, field, f"expected more than 0; found {value}")


def shown(value: object) -> str:
    """`value` as an error message shows it: on one line, at most 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "keys and values"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > _INT_BITS:  # repr refuses thousands of digits
        return "a number beyond 64 bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def hint(value: object, allowed: Iterable[object]) -> str:
    """`` (did you mean X?)`` with the X of `allowed` closest to `value`; empty when none is close."""
    if not isinstance(value, str):
        return ""
    import difflib  # only a failing decode pays for it

    close = difflib.get_close_matches(value[:100], [str(option) for option in allowed], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def unknown_key(key: str, allowed: Iterable[str]) -> str:
    """The problem text of a key that is none of `allowed`."""
    names = list(allowed)
    return f"unknown key; allowed here: {', '.join(names)}{hint(key, names)}"


def _decode(kind: Any, value: object, path: Path) -> object:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(kind, value, path)
    if origin is Literal:
        return _decode_choice(get_args(kind), value, path)
    if origin is tuple:
        return _decode_list(get_args(kind)[0], value, path)
    if origin is not None and issubclass(origin, Mapping):
        return _decode_mapping(get_args(kind)[1], value, path)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, path)
    return _decode_scalar(kind, value, path)


def _decode_union(kind: Any, value: object, path: Path) -> object:
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None and type(None) in get_args(kind):
        return None
    problems = []
    for option in options:
        try:
            return _decode(option, value, path)
        except SchemaError as error:
            problems.append(error)
    raise max(problems, key=lambda error: len(error.path))


def _decode_choice(allowed: tuple[object, ...], value: object, path: Path) -> object:
    if any(type(value) is type(option) and value == option for option in allowed):
        return value
    listed = ", ".join(str(option) for option in allowed)
    raise SchemaError(path, f"expected one of {listed}; found {shown(value)}{hint(value, allowed)}")


def _decode_list(item: Any, value: object, path: Path) -> object:
    if not isinstance(value, list):
        raise SchemaError(path, f"expected a list such as [a, b]; found {shown(value)}")
    return tuple(_decode(item, entry, (*path, i)) for i, entry in enumerate(value))


def _decode_mapping(item: Any, value: object, path: Path) -> object:
    checked = _require_mapping(value, path)
    return {key: _decode(item, entry, (*path, key)) for key, entry in checked.items()}


def _decode_dataclass(kind: Any, value: object, path: Path) -> object:
    given = _require_mapping(value, path)
    kinds = field_types(kind)
    for key in given:
        if key not in kinds:
            raise SchemaError((*path, key), unknown_key(key, kinds))
    for field in dataclasses.fields(kind):
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name not in given:
            raise SchemaError((*path, field.name), "missing; this key is required")
    values = {key: _decode(kinds[key], item, (*path, key)) for key, item in given.items()}
    try:
        return kind(**values)
    except SchemaError as error:  # a __post_init__ that checks its own fields, relative to itself
        raise SchemaError((*path, *error.path), error.problem) from None


def _decode_scalar(kind: Any, value: object, path: Path) -> object:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, int) and number and kind is not str and value.bit_length() > _INT_BITS:
        raise SchemaError(path, f"expected a number of at most {_INT_BITS} bits; found a longer one")
    if kind is float:
        return _decode_float(value, path)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    quote = "; put it in quotes" if kind is str and (number or isinstance(value, bool)) else ""
    raise SchemaError(path, f"expected {_SCALARS[kind]}; found {shown(value)}{quote}")


def _decode_float(value: object, path: Path) -> float:
    # YAML 1.1 reads 1e-4, with no dot or no sign in the exponent, as text
    text = isinstance(value, str) and _EXPONENT.fullmatch(value)
    if not text and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise SchemaError(path, f"expected a number; found {shown(value)}")
    number = float(typing.cast(float, value))
    if not math.isfinite(number):
        raise SchemaError(path, f"expected a finite number; found {shown(value)}")
    return number


def _require_mapping(value: object, path: Path) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SchemaError(path, f"expected keys and values; found {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise SchemaError(path, f"expected text as key; found {shown(key)}")
    return value


def _key(part: str | int) -> str:
    plain = isinstance(part, int) or (part.isprintable() and 0 < len(part) <= 60)
    return str(part) if plain else shown(part)
