"""What callers may pass to a search: each check gives the value to go on with, or one `QueryError`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real

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


def fraction(value: float, name: str) -> float:
    """`value` as a float above 0 and up to 1; NumPy's numbers count, True does not.

    Raises:
        QueryError: it is none. `name` is the argument's.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= 1:
        raise QueryError(f"{name}: expected a number above 0 and up to 1; found {shown(value)}")
    return float(value)


def positive(value: float, name: str) -> float:
    """`value` as a finite float above 0; NumPy's numbers count, True does not.

    Raises:
        QueryError: it is none. `name` is the argument's.
    """
    try:
        number = 0.0 if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an int beyond all floats
        number = math.inf
    if not 0 < number < math.inf:  # false for NaN as well
        raise QueryError(f"{name}: expected a number above 0; found {shown(value)}")
    return number


def text(value: str, name: str) -> str:
    """`value`, which must be text.

    Raises:
        QueryError: it is none. `name` is the argument's.
    """
    if not isinstance(value, str):
        raise QueryError(f"{name}: expected text; found {type(value).__name__}")
    return value


def clean(query: str, name: str = "query") -> str:
    """The query as valid Unicode without blanks around it; lone surrogates, which no UTF-8 library takes,
    become question marks.

    Raises:
        QueryError: not text, or blank. `name` is the argument's.
    """
    stripped = text(query, name).strip()
    if not stripped:
        raise QueryError(f"{name}: expected some text; found none")
    return stripped.encode("utf-8", "replace").decode("utf-8")
