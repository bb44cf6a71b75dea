"""How figures look: two themes, one colour and one mark a rung, labels beside the data."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.8
"""Inches. Text of 9 points stays readable when a phone shrinks the figure to its own width."""

DPI = 220
MARKS = "osD^vP"

LINE_SHARE = 0.1
"""Of a panel's height, that a line of text takes."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as ``#rrggbb``; those of rungs differ for colour-blind readers too (after Okabe & Ito 2008)."""

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    neutral: str
    rungs: tuple[str, ...]

    def rung(self, place: int) -> str:
        """The colour of the bundle's rung at this place, the same in every figure and on the page."""
        return self.rungs[place % len(self.rungs)]


LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#1c2024",
    muted="#5f6871",
    grid="#e4e7ea",
    neutral="#a9b1b9",
    rungs=("#0072b2", "#d55e00", "#008a63", "#b0568c", "#8a6d00", "#4b4f9e"),
)
DARK = Theme(
    name="dark",
    surface="#15181c",
    ink="#e8eaed",
    muted="#a2abb4",
    grid="#2d3239",
    neutral="#69727b",
    rungs=("#5cb8f0", "#ff9358", "#35c99c", "#e59ac8", "#e3c343", "#a5a9ff"),
)


def mark(place: int) -> str:
    """The shape of a rung's points: colour alone must not carry the meaning."""
    return MARKS[place % len(MARKS)]


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Matplotlib's settings for one figure; those of the process are put back afterwards."""
    settings: dict[Any, Any] = {  # matplotlib names every key in its type, newer ones only in newer versions
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.neutral,
        "axes.facecolor": theme.surface,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "figure.facecolor": theme.surface,
        "figure.constrained_layout.use": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "lines.linewidth": 1.6,
        "text.color": theme.ink,
        "text.parse_math": False,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
    }
    with mpl.rc_context(settings):
        yield


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    file = io.BytesIO()
    # Without the time and version that matplotlib would note, equal figures are equal files.
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def label_ends(axes: Axes, labels: Sequence[tuple[float, float, str, str]]) -> None:
    """Names lines at their right ends, moved apart where they would overlap.

    Args:
        labels: x, y, text and colour of each.
    """
    low, high = axes.get_ylim()
    heights = spread([y for _, y, _, _ in labels], LINE_SHARE * (high - low))
    for (x, _, text, colour), height in zip(labels, heights, strict=True):
        axes.annotate(
            text,
            (x, height),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """`values` moved as little as keeps each `gap` from its neighbours, their order kept."""
    order = np.argsort(values, kind="stable")
    # Groups of values that touch are centred on their mean; merging goes on until none do.
    groups: list[list[float]] = []
    for value in np.asarray(values, float)[order]:
        groups.append([value])
        while len(groups) > 1 and _bottom(groups[-1], gap) - _top(groups[-2], gap) < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [_bottom(group, gap) + place * gap for group in groups for place in range(len(group))]
    result = np.empty(len(values))
    result[order] = placed
    return [float(height) for height in result]


def _bottom(group: Sequence[float], gap: float) -> float:
    return float(np.mean(group)) - gap * (len(group) - 1) / 2


def _top(group: Sequence[float], gap: float) -> float:
    return float(np.mean(group)) + gap * (len(group) - 1) / 2


def finer_log_ticks(axis: Any, low: float, high: float) -> None:
    """Ticks at 1, 2 and 5 of each decade of a logarithmic axis, as plain numbers."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    within = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(within, [f"{tick:g}" for tick in within])
    axis.set_ticks([], minor=True)
