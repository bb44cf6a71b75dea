"""Exact search: a query beside every vector of a matrix, or beside those that a filter allows.

Vectors are compared where they lie, piece by piece. Where few of a piece are allowed, these are gathered
first: one gathered costs as much as four in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime import products
from edge_runtime.ranking import Ranking, empty
from edge_runtime.residence import AROUND, Residence

IN_PLACE_A_GATHERED = 4
"""Vectors compared where they lie in the time of one that is gathered and compared."""

_IN_PLACE_A_PIECE = 256  # likewise in the time that a piece takes by itself
_PIECE = 16_384  # vectors at most: 6 MB of 384 dimensions
_GROUP = 64  # scores whose highest stands for them


@dataclass(frozen=True, slots=True)
class Pieces:
    """What to compare.

    Attributes:
        rows: int64 (n,), rising.
        ends: where each piece of `rows` begins and ends.
        cost: of comparing them, in vectors compared in place.
    """

    rows: NDArray[np.int64]
    ends: Sequence[tuple[int, int]]
    cost: int

    @classmethod
    def of(cls, rows: NDArray[np.int64]) -> Pieces:
        """Cut where so many in between are not asked for that another piece is cheaper, if cutting pays."""
        breaks = np.flatnonzero(np.diff(rows) > _IN_PLACE_A_PIECE) + 1
        starts, stops = np.append(0, breaks), np.append(breaks, len(rows))
        if not len(rows):
            return cls(rows, (), 0)
        spans = rows[stops - 1] - rows[starts] + 1
        cheapest = np.minimum(spans, IN_PLACE_A_GATHERED * (stops - starts))
        cost = int(cheapest.sum()) + _IN_PLACE_A_PIECE * len(starts)
        gathered = IN_PLACE_A_GATHERED * len(rows)
        if gathered <= cost:
            return cls(rows, _cut([(0, len(rows))]), gathered)
        return cls(rows, _cut(zip(starts.tolist(), stops.tolist(), strict=True)), cost)

    def in_place(self, start: int, stop: int) -> bool:
        """Whether this piece is compared with all that lies in between."""
        span = int(self.rows[stop - 1] - self.rows[start]) + 1
        return span <= IN_PLACE_A_GATHERED * (stop - start)


def _cut(ends: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """None longer than `_PIECE`."""
    return [(at, min(at + _PIECE, stop)) for start, stop in ends for at in range(start, stop, _PIECE)]


class ExactScan:
    """Compares a query with vectors of a matrix. One thread at a time."""

    def __init__(self, matrix: NDArray[np.int8], residence: Residence | None = None) -> None:
        """`matrix` is int8 (n, ndim); it may be mapped, with this `residence`, and is never copied whole."""
        self._matrix = matrix
        self._residence = residence
        self._multiply = products.kernel()
        self._lengths: NDArray[np.float32] | None = None

    def nearest(self, query: NDArray[np.int8], count: int) -> Ranking:
        """The `count` rows of highest cosine to `query`, int8 (ndim,); equals by row."""
        scores = np.empty(len(self._matrix), np.float32)
        for start in range(0, len(scores), _PIECE):
            stop = min(start + _PIECE, len(scores))
            self._compare(start, stop, query, scores[start:stop])
        scores /= self._all_lengths() * products.length(query)
        best = highest(scores, count)
        return Ranking(best, scores[best])

    def nearest_of(self, query: NDArray[np.int8], count: int, pieces: Pieces) -> Ranking:
        """The same of these rows."""
        if not len(pieces.rows):
            return empty()
        scores = np.empty(len(pieces.rows), np.float32)
        for start, stop in pieces.ends:
            self._compare_piece(pieces, start, stop, query, scores[start:stop])
        scores /= self._all_lengths()[pieces.rows] * products.length(query)
        best = highest(scores, count)
        return Ranking(pieces.rows[best], scores[best])

    def _compare_piece(
        self, pieces: Pieces, start: int, stop: int, query: NDArray[np.int8], out: NDArray[np.float32]
    ) -> None:
        rows = pieces.rows[start:stop]
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first == len(rows):
            self._compare(first, last, query, out)
        elif pieces.in_place(start, stop):
            between = np.empty(last - first, np.float32)
            self._compare(first, last, query, between)
            np.take(between, rows - first, out=out)
        else:
            self._multiply(self._matrix[rows], query, out)
            self._touch(min(last - first, len(rows) * AROUND // self._matrix.shape[1]))

    def _compare(self, start: int, stop: int, query: NDArray[np.int8], out: NDArray[np.float32]) -> None:
        self._multiply(self._matrix[start:stop], query, out)
        self._touch(stop - start)

    def _touch(self, vectors: int) -> None:
        if self._residence is not None:
            self._residence.touch(vectors * self._matrix.shape[1])

    def _all_lengths(self) -> NDArray[np.float32]:
        """Of the vectors, float32 (n,); 1 where there is none, for a vector of zeros is like nothing."""
        if self._lengths is None:
            squares = np.empty(len(self._matrix), np.float32)
            for start in range(0, len(squares), products.BLOCK):
                wide = self._matrix[start : start + products.BLOCK].astype(np.float32)
                np.einsum("ij,ij->i", wide, wide, out=squares[start : start + len(wide)])
                self._touch(len(wide))
            self._lengths = np.sqrt(np.maximum(squares, 1))
        return self._lengths


def highest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the `count` highest are, int64, from the highest on; equals in the order in which they lie."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    found = np.flatnonzero(scores >= _least(scores, count))
    return found[np.argsort(-scores[found], kind="stable")[:count]]


def _least(scores: NDArray[np.float32], count: int) -> float:
    """No more than the `count`-th highest, and little less.

    So many groups have one of at least the `count`-th highest of their maxima: a tenth of the time that a
    partition of all would take.
    """
    groups = len(scores) // _GROUP
    if groups >= 2 * count:
        scores = scores[: groups * _GROUP].reshape(groups, _GROUP).max(axis=1)
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])
