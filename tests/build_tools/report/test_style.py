"""Labels that keep apart, ticks that can be read, one colour a rung."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from build_tools.report.style import DARK, LIGHT, Theme, drawing, finer_log_ticks, mark, png, spread


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([3.0], [3.0]),
        ([0.0, 5.0], [0.0, 5.0]),
        ([1.0, 1.0], [0.5, 1.5]),
        ([2.0, 1.0, 1.5], [2.5, 0.5, 1.5]),
        ([0.0, 0.0, 0.9, 9.0], [-0.7, 0.3, 1.3, 9.0]),
    ],
)
def test_spread(values: list[float], expected: list[float]) -> None:
    """Moved only where they touch, around their mean."""
    assert spread(values, 1.0) == pytest.approx(expected)


@given(st.lists(st.floats(-100, 100), max_size=8))
@settings(deadline=None, max_examples=100)
def test_spread_keeps_gap_and_order(values: list[float]) -> None:
    """Whatever the heights."""
    placed = spread(values, 1.0)
    order = sorted(range(len(values)), key=lambda i: values[i])
    heights = [placed[i] for i in order]
    assert all(after - before > 1 - 1e-6 for before, after in pairwise(heights))
    assert sum(placed) == pytest.approx(sum(values), abs=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.15, 4.2, ["0.2", "0.5", "1", "2"]),
        (3, 30, ["5", "10", "20"]),
        (90, 1100, ["100", "200", "500", "1000"]),
    ],
)
def test_ticks(low: float, high: float, expected: list[str]) -> None:
    """Plain numbers within the limits."""
    axes = Figure().subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    finer_log_ticks(axes.xaxis, low, high)
    assert [label.get_text() for label in axes.get_xticklabels()] == expected
    assert axes.get_xlim() == (low, high)


def test_drawing_leaves_no_settings_behind() -> None:
    """Not even after an error."""
    before = dict(mpl.rcParams)
    with drawing(DARK):
        assert mpl.rcParams["axes.facecolor"] == DARK.surface
    assert dict(mpl.rcParams) == before
    with pytest.raises(ZeroDivisionError), drawing(DARK):
        raise ZeroDivisionError
    assert dict(mpl.rcParams) == before


def test_the_same_figure_is_the_same_file() -> None:
    """No time, no version."""
    assert png(Figure()) == png(Figure())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_rungs_stand_out(theme: Theme) -> None:
    """Six different colours and marks, each with the contrast that WCAG asks of graphics, three to one."""
    assert len({theme.rung(place) for place in range(6)}) == 6
    assert len({mark(place) for place in range(6)}) == 6
    for colour in (*theme.rungs, theme.muted, theme.ink):
        assert contrast(colour, theme.surface) >= 3


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of ``#rrggbb``."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
