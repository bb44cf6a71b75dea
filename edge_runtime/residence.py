"""Keeps a large mapped file from filling a process' memory page by page.

Pages of a mapping count as the process' own until somebody gives them back. The system can take them when
memory is short, but until then every search maps some more. Given back, they stay in the system's cache: to
touch one again costs about a microsecond, not a read from the card.
"""

from __future__ import annotations

from collections.abc import Callable

MOST_BYTES = 16_000_000
"""Of a file, touched between two times of giving back."""

AROUND = 65_536
"""Bytes that Linux maps around a page that is touched (fault_around_bytes), where they are in its cache."""


class Residence:
    """How much of a mapped file was touched. Threads may share one: a lost count does no harm."""

    def __init__(self, size: int, release: Callable[[], object]) -> None:
        """`size` is the file's in bytes; `release` gives all its pages back."""
        self._release = release if size > MOST_BYTES else None
        self._touched = 0

    def touch(self, size: int) -> None:
        """Counts bytes that a search has read; gives all pages back when there were too many."""
        if self._release is None:
            return
        self._touched += size
        if self._touched > MOST_BYTES:
            self._touched = 0
            self._release()
