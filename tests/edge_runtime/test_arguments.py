"""What callers pass, and the one error where it cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime import QueryError, arguments


@pytest.mark.parametrize("value", [1, 256, np.int64(7), np.uint8(255)])
def test_whole_numbers(value: Any) -> None:
    """NumPy's integers count; the answer is Python's own."""
    found = arguments.whole(value, "k", most=256)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (-1, "-1"), (257, "257"), (True, "true"), (2.0, "2.0"), ("3", "'3'"), (None, "nothing")],
)
def test_what_is_no_whole_number(value: Any, shown: str) -> None:
    """The argument's name, the range, what was found."""
    with pytest.raises(QueryError) as caught:
        arguments.whole(value, "k", most=256)
    assert str(caught.value) == f"k: expected a whole number from 1 to 256; found {shown}"


def test_texts() -> None:
    """Any sequence, but not one text, nor what can be read only once."""
    assert arguments.texts(("a", "b")) == ("a", "b")
    for values in ("ab", 5, {"a"}, iter(["a"])):
        with pytest.raises(QueryError, match=f"expected a list of texts; found {type(values).__name__}"):
            arguments.texts(values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "cleaned"), [(" a b\n", "a b"), ("é🍞", "é🍞"), ("x\ud800", "x?"), ("\x00", "\x00")]
)
def test_clean(query: str, cleaned: str) -> None:
    """Blanks around it go, and what no UTF-8 library takes."""
    assert arguments.clean(query) == cleaned


@pytest.mark.parametrize(
    ("query", "problem"),
    [("", "some text; found none"), (" \t", "some text; found none"), (5, "text; found int")],
)
def test_what_is_no_query(query: Any, problem: str) -> None:
    """Blank, or no text at all."""
    with pytest.raises(QueryError, match=f"^query: expected {problem}$"):
        arguments.clean(query)


@pytest.mark.parametrize("value", [1, 1.0, 0.5, np.float32(0.5), 5e-324])
def test_fraction(value: Any) -> None:
    """Above 0 and up to 1, as a float."""
    found = arguments.fraction(value, "threshold")
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize("value", [0, -0.1, 1.1, True, "1", None, float("nan"), 10**400])
def test_no_fraction(value: Any) -> None:
    """Named with what was found."""
    with pytest.raises(QueryError, match="threshold: expected a number above 0 and up to 1; found "):
        arguments.fraction(value, "threshold")


@pytest.mark.parametrize("value", [5, 0.5, np.float32(0.5), np.int64(3), 1e308])
def test_positive(value: Any) -> None:
    """Any number above 0, as a float."""
    found = arguments.positive(value, "deadline_ms")
    assert found == value
    assert type(found) is float


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 10**400, True, "5", None])
def test_what_is_not_positive(value: Any) -> None:
    """Nor finite, nor a number."""
    with pytest.raises(QueryError, match=r"^deadline_ms: expected a number above 0; found "):
        arguments.positive(value, "deadline_ms")
