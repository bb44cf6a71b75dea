"""Checks that the recipe's dataclasses make of their own fields."""

from __future__ import annotations

import re

from edge_runtime.schema import SchemaError, shown

NAME_RULE = "1 to 64 lower-case letters, digits, '.', '_' or '-', a letter or digit first"


def at_least(spec: object, least: int, *names: str) -> None:
    """Each field is None or `least` or more."""
    for name in names:
        value = getattr(spec, name)
        if value is not None and value < least:
            raise SchemaError((name,), f"expected {least} or more; found {value}")


def above_zero(spec: object, *names: str) -> None:
    """Each field is None or more than 0."""
    for name in names:
        value = getattr(spec, name)
        if value is not None and value <= 0:
            raise SchemaError((name,), f"expected more than 0; found {value}")


def within_one(spec: object, *names: str) -> None:
    """Each field is None or 0 to 1."""
    for name in names:
        value = getattr(spec, name)
        if value is not None and not 0 <= value <= 1:
            raise SchemaError((name,), f"expected 0 to 1; found {value}")


def not_empty(spec: object, *names: str) -> None:
    """Each field is None or some text."""
    for name in names:
        if getattr(spec, name) == "":
            raise SchemaError((name,), "expected some text; found ''")


def different_names(spec: object, name: str) -> None:
    """The field holds names, none of them empty or twice."""
    names = getattr(spec, name)
    if len(set(names)) != len(names) or "" in names:
        raise SchemaError((name,), f"expected different names; found {', '.join(names)}")


def matches(spec: object, name: str, pattern: re.Pattern[str], rule: str) -> None:
    """The field is a full match of `pattern`, which `rule` puts into words."""
    value = getattr(spec, name)
    if not pattern.fullmatch(value):
        raise SchemaError((name,), f"expected {rule}; found {shown(value)}")
