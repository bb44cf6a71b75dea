"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from build_tools.report import formats


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 kB"), (9, "0 kB"), (49_999, "50 kB"), (50_000, "0.1 MB"), (18_072_566, "18.1 MB")],
)
def test_size(count: int, expected: str) -> None:
    """A million bytes each."""
    assert formats.size(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.034, "0.03 ms"), (9.99, "9.99 ms"), (10.0, "10.0 ms"), (152.34, "152.3 ms")]
)
def test_milliseconds(value: float, expected: str) -> None:
    """Three digits, or so."""
    assert formats.milliseconds(value) == expected


def test_the_others() -> None:
    """Shares, figures, durations, places."""
    assert [formats.share(value) for value in (None, 0.98765, 1.1)] == ["", "98.8 %", "110.0 %"]
    assert formats.quality(0.64549) == "0.645"
    assert [formats.difference(value) for value in (-0.5, 0.0, 0.25)] == ["−0.500", "+0.000", "+0.250"]
    assert [formats.duration(value) for value in (12.4, 179.9, 180)] == ["12 s", "180 s", "3.0 min"]
    assert [formats.rank(place) for place in (None, 7)] == ["–", "7"]


def test_text() -> None:
    """One line; cut with an ellipsis when it is longer than the page shows."""
    assert formats.text(" a\n b\t c ") == "a b c"
    whole = "x" * formats.LONGEST_TEXT
    assert formats.text(whole) == whole
    assert formats.text(whole + "x") == whole[:-1] + "…"
