"""Near-duplicates of a corpus: pairs of different documents that have a passage nearly in common.

**Exact indexes.** Every passage is compared with every other by products of tiles of `_TILE` passages. Sums
of products of int8 components are whole numbers that floats hold exactly, so every pair is found, and its
cosine does not depend on what computed it. Passages are taken in the order of their documents, and a tile
ends where a document ends. So all that two documents have in common lies in one pair of tiles, and nothing
need be remembered from one to the next. (A document of more passages is cut into several tiles, of which the
best pair of passages is kept.)

**Graphs.** The neighbours of each passage are looked up, more and more of them until the last is below the
threshold. What the graph does not find is missed; the cosines of what it finds are as exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.dense import DenseIndex
from edge_runtime.documents import Documents, Record
from edge_runtime.gate import Gate
from edge_runtime.manifest import Manifest

Progress = Callable[[int, int], object]

_TILE = 1024  # 4 MB of products
_BLOCK = 4096  # neighbours whose cosines are computed at a time
_NEIGHBOURS, _GROWTH = 16, 4
_SLACK = 1e-3  # usearch's cosines may be this far off; they only decide when to look no further
_FETCHED = 256  # pairs whose texts are read at a time
_EXACT_IN_FLOAT32 = 2**24 // 127**2  # dimensions up to which a sum of products is a whole number there


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document.

    Attributes:
        key: the document's.
        title: the document's.
        passage: the passage's position in its document, from 0.
        text: the passage.
    """

    key: str
    title: str
    passage: int
    text: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two documents that are nearly the same somewhere: their most similar passages, and their cosine."""

    first: Passage
    second: Passage
    score: float


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of passages by their rows, and their cosines: three arrays of one length."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    scores: NDArray[np.float64]

    def best(self, owners: NDArray[np.int32]) -> _Pairs:
        """The best for each two documents, by documents; of equals the first by rows."""
        left, right = owners[self.left], owners[self.right]
        order = np.lexsort((self.right, self.left, -self.scores, right, left))
        left, right = left[order], right[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
        kept = order[first]
        return _Pairs(self.left[kept], self.right[kept], self.scores[kept])

    def part(self, start: int, stop: int) -> _Pairs:
        return _Pairs(self.left[start:stop], self.right[start:stop], self.scores[start:stop])


@dataclass(frozen=True, slots=True)
class _Step:
    """What was found lately, and how much of the work is done: cells of the triangle, or passages."""

    pairs: _Pairs
    done: int


def find(
    threshold: float,
    *,
    manifest: Manifest,
    dense: DenseIndex,
    documents: Documents,
    gate: Gate,
    progress: Progress | None,
) -> Iterator[Duplicate]:
    """See `Retriever.duplicates`. The gate is held while there is something to do, not between two pairs."""
    spec = manifest.index
    with gate.passage():
        corpus = _Corpus(dense, documents.owners(np.arange(spec.count)), spec.ndim)
    exact = spec.search == "exact"
    total = corpus.cells() if exact else spec.count
    steps = corpus.by_tiles(threshold) if exact else corpus.by_neighbours(threshold)
    while True:
        with gate.passage():
            step = next(steps, None)
        if step is None:
            return
        if progress is not None:
            progress(step.done, total)
        for start in range(0, len(step.pairs.left), _FETCHED):
            with gate.passage():
                found = _with_texts(step.pairs.part(start, start + _FETCHED), documents)
            yield from found


class _Corpus:
    """The passages of an open index, in the order of their documents."""

    def __init__(self, dense: DenseIndex, owners: NDArray[np.int32], ndim: int) -> None:
        """`owners` is int32 (passages,), the document of each row."""
        self._dense = dense
        self._owners = owners
        self._order = np.argsort(owners, kind="stable")
        self._kind = np.float32 if ndim <= _EXACT_IN_FLOAT32 else np.float64

    def by_tiles(self, threshold: float) -> Iterator[_Step]:
        """All pairs with such a cosine or a higher one."""
        groups, done = list(self._groups()), 0
        for i, left in enumerate(groups):
            for right in groups[i:]:
                tiles = [self._tile(one, two, threshold) for one in _cut(left) for two in _cut(right)]
                done += len(left) * len(right)
                yield _Step(_joined(tiles).best(self._owners), done)

    def cells(self) -> int:
        """How many cells `by_tiles` goes through."""
        sizes = [len(group) for group in self._groups()]
        return (sum(sizes) ** 2 + sum(size**2 for size in sizes)) // 2

    def by_neighbours(self, threshold: float) -> Iterator[_Step]:
        """The pairs that the index's own search finds."""
        start = 0
        while start < len(self._order):
            document = self._owners[self._order[start]]
            found = []
            while start < len(self._order) and self._owners[self._order[start]] == document:
                found.append(self._neighbours(int(self._order[start]), threshold))
                start += 1
            yield _Step(_joined(found).best(self._owners), start)

    def _groups(self) -> Iterator[range]:
        """Ranges of `_order` of whole documents: `_TILE` passages at most, or one document."""
        owners = self._owners[self._order]
        ends = [*(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
        start = end = 0
        for following in ends:
            if following - start > _TILE and end > start:
                yield range(start, end)
                start = end
            end = following
        yield range(start, end)

    def _tile(self, left: range, right: range, threshold: float) -> _Pairs:
        one, two = self._rows(left), self._rows(right)
        a, b = (self._dense.vectors(rows).astype(self._kind) for rows in (one, two))
        squares = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
        products = a @ b.T
        # Cheap and a little too low, so that no pair is lost to rounding
        bound = np.outer(np.sqrt(squares[0]) * np.float32(threshold * (1 - 1e-5)), np.sqrt(squares[1]))
        i, j = np.nonzero(products >= bound)
        later = self._owners[one[i]] < self._owners[two[j]]
        i, j = i[later], j[later]
        scores = _cosines(products[i, j], squares[0][i], squares[1][j])
        kept = scores >= threshold
        return _Pairs(one[i[kept]], two[j[kept]], scores[kept])

    def _rows(self, places: range) -> NDArray[np.int64]:
        return self._order[places.start : places.stop]

    def _neighbours(self, row: int, threshold: float) -> _Pairs:
        """Those of later documents."""
        vector = self._dense.vectors(np.array([row]))[0]
        count = min(_NEIGHBOURS, len(self._order))
        while True:
            ranking = self._dense.search(vector, count)
            if count == len(self._order) or ranking.scores[-1] < threshold - _SLACK:
                break
            count = min(count * _GROWTH, len(self._order))
        rows = ranking.rows[ranking.scores >= threshold - _SLACK]
        rows = rows[self._owners[rows] > self._owners[row]]
        scores = self._cosines_to(vector, rows)
        rows, scores = rows[scores >= threshold], scores[scores >= threshold]
        return _Pairs(np.full(len(rows), row), rows, scores)

    def _cosines_to(self, vector: NDArray[np.int8], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        query = vector.astype(np.float64)
        scores = []
        for start in range(0, len(rows), _BLOCK):
            vectors = self._dense.vectors(rows[start : start + _BLOCK]).astype(self._kind)
            squares = np.einsum("ij,ij->i", vectors, vectors)
            scores.append(_cosines(vectors @ query, squares, np.float64(query @ query)))
        return np.concatenate(scores) if scores else np.empty(0)


def _cosines(
    products: NDArray[np.floating[Any]], left: NDArray[Any], right: NDArray[Any]
) -> NDArray[np.float64]:
    """Of dot products and squared lengths; 1 to the last digit for equal vectors, 0 for one of no length."""
    lengths = np.sqrt(left.astype(np.float64) * right)
    cosines: NDArray[np.float64] = products / np.maximum(lengths, 1)
    return cosines


def _cut(group: range) -> Iterator[range]:
    return (group[start : start + _TILE] for start in range(0, len(group), _TILE))


def _joined(found: Sequence[_Pairs]) -> _Pairs:
    return _Pairs(
        np.concatenate([pairs.left for pairs in found]),
        np.concatenate([pairs.right for pairs in found]),
        np.concatenate([pairs.scores for pairs in found]),
    )


def _with_texts(pairs: _Pairs, documents: Documents) -> list[Duplicate]:
    first = documents.fetch(pairs.left.tolist())
    second = documents.fetch(pairs.right.tolist())
    return [
        Duplicate(_passage(one), _passage(two), score)
        for one, two, score in zip(first, second, pairs.scores.tolist(), strict=True)
    ]


def _passage(record: Record) -> Passage:
    return Passage(record.key, record.title, record.ordinal, record.text)
