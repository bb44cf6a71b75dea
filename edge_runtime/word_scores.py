"""A query's BM25 scores, added up over its terms' postings in time and memory of those, not of the corpus.

The sums grow in an array of a cell a passage, which searches hand on to each other and which is empty between
them. At each posting the sum so far is kept, so a passage that has several of the words stands in several
places, and its score is in the last of them, the highest. The first places are found without an order of all:
the k-th highest of some is at most the k-th highest of all, and what is lower cannot be among the first k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.ranking import Ranking, empty

_NO_ROWS, _NO_SCORES = np.empty(0, np.uint32), np.empty(0, np.float32)

_MANY = 0.05  # of all passages: if so many are allowed, some of the best are
_GROUPS = 8  # for each place that is wanted: groups of postings of which only the highest is looked at


@dataclass(frozen=True, slots=True)
class Postings:
    """The passages that have a term.

    Attributes:
        rows: uint32 (n,), rising.
        scores: float32 (n,), above zero: what an occurrence of the term in a query adds.
    """

    rows: NDArray[np.uint32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordScores:
    """A query's BM25 scores over all passages.

    Attributes:
        passages: how many there are in all.
        lists: of the query's terms, in their order and with repeats.
        rows: int64 (postings,), of all lists one behind the other.
        scores: float32 (postings,), what each of them adds.
        sums: float32 (postings,), what a row has with it; with a row's last posting, all.
    """

    passages: int
    lists: Sequence[Postings]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    sums: NDArray[np.float32]

    @property
    def share(self) -> float:
        """Of the passages that share a word with the query, 0 to 1."""
        return int(np.count_nonzero(self.sums == self.scores)) / self.passages  # first postings of a row

    @property
    def best_score(self) -> float:
        """The highest; 0 where no passage shares a word."""
        return float(self.sums.max(initial=0))

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation over all passages."""
        mean = float(self.scores.sum()) / self.passages
        # A posting takes the square of its row's sum from (sum - score)² to sum².
        squares = float(self.scores @ (2 * self.sums - self.scores)) / self.passages
        return mean, math.sqrt(max(0.0, squares - mean**2))

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of these passages, shape (n,) as given; 0 where no word is shared."""
        wanted = rows.astype(np.uint32)  # as the lists are, or numpy would convert those
        found = np.zeros(len(rows), np.float32)
        for each in self.lists:
            places = each.rows.searchsorted(wanted)
            there = np.flatnonzero(each.rows.take(places, mode="clip") == wanted)
            found[there] += each.scores[places[there]]
        return found

    def best(self, count: int, *, allowed: Allowed | None = None) -> Ranking:
        """The first `count` of the allowed passages, best first, equals by row; none that shares no word."""
        rows, sums, mask, wanted = self.rows, self.sums, None, count
        if allowed is not None and allowed.passages >= _MANY * self.passages:
            mask, wanted = allowed.mask, math.ceil(count * self.passages / allowed.passages)
        elif allowed is not None:  # few are left when the others are left out first
            kept = allowed.mask[rows]
            rows, sums = rows[kept], sums[kept]
        if count < 1 or not len(rows):
            return empty()
        while True:
            places = _highest(sums, wanted)
            found, scores = rows[places], sums[places]
            if len(self.lists) > 1:
                found, scores = _final(found, scores)
            if mask is not None:
                kept = mask[found]
                found, scores = found[kept], scores[kept]
            if len(found) >= count or len(places) == len(rows):
                return _first(found, scores, count)
            wanted *= 2


def add_up(lists: Sequence[Postings], cells: NDArray[np.float32]) -> WordScores:
    """The scores of a query with these terms.

    Args:
        lists: none of them empty, in the order of the terms.
        cells: float32 (passages,), all 0, and 0 again at the end; not to be used again after an error.

    Raises:
        IndexError: a posting is of a passage beyond those.
    """
    rows = np.concatenate([_NO_ROWS, *(each.rows for each in lists)], dtype=np.int64)
    scores = np.concatenate([_NO_SCORES, *(each.scores for each in lists)])
    sums = np.empty_like(scores)
    start = 0
    for each in lists:
        end = start + len(each.rows)
        where = rows[start:end]
        cells[where] = np.add(cells[where], scores[start:end], out=sums[start:end])
        start = end
    cells[rows] = 0
    return WordScores(len(cells), lists, rows, scores, sums)


def _highest(scores: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Places of the highest `wanted` and more, rising: of all that are as high as the lowest of these."""
    if len(scores) <= wanted:
        return np.arange(len(scores))
    groups = _GROUPS * wanted
    size = len(scores) // groups
    heads = scores if size < 2 else scores[: size * groups].reshape(size, groups).max(axis=0)
    least = np.partition(heads, len(heads) - wanted)[len(heads) - wanted]
    return np.flatnonzero(scores >= least)


def _final(
    rows: NDArray[np.int64], sums: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each row once, rising, with its highest sum."""
    order = np.lexsort((sums, rows))
    rows, sums = rows[order], sums[order]
    last = np.append(rows[1:] != rows[:-1], True)
    return rows[last], sums[last]


def _first(rows: NDArray[np.int64], scores: NDArray[np.float32], count: int) -> Ranking:
    """The best `count` of rows that rise; of equals the lower ones."""
    if len(rows) > count:
        last = np.partition(scores, len(rows) - count)[len(rows) - count]
        above, equal = np.flatnonzero(scores > last), np.flatnonzero(scores == last)
        kept = np.sort(np.concatenate((above, equal[: count - len(above)])))
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return Ranking(rows[order], scores[order])
