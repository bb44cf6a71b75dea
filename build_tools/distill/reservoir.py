"""A sample of bounded size from a stream of texts of unknown length."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import blake2b


class Reservoir:
    """A uniform sample of the different texts in a stream: those whose seeded hash is smallest.

    Bottom-k sampling (Cohen and Kaplan, PODC 2007). However often a text comes, it counts once, and the order
    of the stream does not matter: a heading that every document has must not crowd out the rest.
    """

    def __init__(self, size: int, seed: int) -> None:
        """Keeps at most `size` texts."""
        self._size = size
        self._salt = blake2b(str(seed).encode(), digest_size=16).digest()
        self._heap: list[tuple[int, str]] = []  # the largest hash first, negated for heapq
        self._kept: set[str] = set()

    @property
    def texts(self) -> list[str]:
        """What is kept, in an order as random as the choice; any beginning of it is a smaller sample."""
        return [text for _, text in sorted(self._heap, reverse=True)]

    def offer(self, text: str) -> None:
        """Takes `text` if it is one of the sample so far."""
        if not self._size or text in self._kept:
            return
        entry = (-self._hash(text), text)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            self._kept.discard(heapq.heapreplace(self._heap, entry)[1])
        else:
            return
        self._kept.add(text)

    def extend(self, texts: Iterable[str]) -> None:
        """Offers every one of them."""
        for text in texts:
            self.offer(text)

    def _hash(self, text: str) -> int:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=self._salt)
        return int.from_bytes(digest.digest(), "big")
