"""Figures as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column holds names, and all others figures.

    Raises:
        ValueError: a row is not as long as the header.
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(f"expected {len(header)} cells; found {line}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float]) -> str:
    """The mean and, of several values, their standard deviation (n - 1)."""
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def listed(values: Iterable[object]) -> str:
    """``1, 2 and 3``."""
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
