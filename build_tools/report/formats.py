"""Numbers and texts as a person reads them."""

from __future__ import annotations

LONGEST_TEXT = 300
"""Characters of a query that are shown."""


def size(count: int) -> str:
    """Bytes; a megabyte is a million."""
    return f"{count / 1e6:.1f} MB" if count >= 50_000 else f"{count / 1e3:.0f} kB"


def quality(value: float) -> str:
    """A figure from 0 to 1."""
    return f"{value:.3f}"


def difference(value: float, digits: int = 3) -> str:
    """A figure with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def share(value: float | None) -> str:
    """Per cent; nothing where there is none."""
    return "" if value is None else f"{value:.1%}".replace("%", " %")


def milliseconds(value: float) -> str:
    """Three digits, or so."""
    return f"{value:.{2 if value < 10 else 1}f} ms"


def duration(seconds: float) -> str:
    """Seconds, from three minutes on minutes."""
    return f"{seconds / 60:.1f} min" if seconds >= 180 else f"{seconds:.0f} s"


def rank(place: int | None) -> str:
    """A place in a ranking; a dash beyond its end."""
    return "–" if place is None else str(place)


def text(words: str) -> str:
    """On one line, and cut where it is longer than `LONGEST_TEXT`."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
