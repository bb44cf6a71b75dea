"""Latency and memory over the number of passages, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scale import Measured

_COLOURS = {"exact": "#7f8c8d", "hnsw": "#2a6099", "two-stage": "#2f8f5b", "pq": "#c0392b"}


def draw(found: Sequence[Measured], path: Path) -> None:
    """Writes a PNG of 1600 x 640 pixels: dense and hybrid latency, and peak memory, one line a strategy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=160, layout="constrained")
    dense, hybrid, memory = figure.subplots(1, 3)
    for strategy, colour in _COLOURS.items():
        mine = [each for each in found if each.strategy == strategy]
        sizes = [each.passages for each in mine]
        for axes, told in ((dense, [each.dense for each in mine]), (hybrid, [each.hybrid for each in mine])):
            for percent, style in ((50, "-"), (99, ":")):
                times = [np.percentile(each["warm"], percent) for each in told]
                axes.plot(sizes, times, style, marker="o", ms=3, color=colour, label=f"{strategy} p{percent}")
        peaks = [each.hybrid["memory"]["peak"] / 1e6 for each in mine]
        memory.plot(sizes, peaks, "-", marker="o", ms=3, color=colour, label=strategy)
    _label(dense, "dense search, ms")
    _label(hybrid, "hybrid search, ms")
    _label(memory, "peak memory of a process, MB")
    figure.savefig(path, format="png")


def _label(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("passages")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
