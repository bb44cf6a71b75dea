"""What callers may pass to a search: each check gives the value to go on with, or one `QueryError`."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from edge_runtime.errors import QueryError
from edge_runtime.schema import shown


def whole(value: int, name: str, *, most: int | None = None) -> int:
    """`value` as an int from 1 to `most`; NumPy's integers count, True does not.

    Raises:
        QueryError: it is none. `name` is the argument's.
    """
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or (most is not None and number > most):
        upper = "" if most is None else f" to {most}"
        raise QueryError(f"{name}: expected a whole number from 1{upper}; found {shown(value)}")
    return number


def texts(values: Sequence[str]) -> Sequence[str]:
    """`values`, which must be a sequence, and not one text.

    Raises:
        QueryError: something else.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise QueryError(f"expected a list of texts; found {type(values).__name__}")
    return values


def clean(query: str) -> str:
    """The query as valid Unicode without blanks around it; lone surrogates, which no UTF-8 library takes,
    become question marks.

    Raises:
        QueryError: not text, or blank.
    """
    if not isinstance(query, str):
        raise QueryError(f"query: expected text; found {type(query).__name__}")
    text = query.strip()
    if not text:
        raise QueryError("query: expected some text; found none")
    return text.encode("utf-8", "replace").decode("utf-8")
