"""Vectors to nearest passages, over a usearch index viewed in place.

Vectors are int8 under one global scale: components of a unit vector lie near ±1/√ndim, so a plain cast to
±127 would waste three of eight bits. Cosine ignores the scale.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import block_scan
from edge_runtime.allowed import Allowed
from edge_runtime.block_scan import BlockScan
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.lean_import import import_without
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking, empty
from edge_runtime.vectors import Vectors

if TYPE_CHECKING:
    from usearch.index import Index

UNUSED = ("tqdm", "urllib.request", "urllib.error")
"""What usearch imports for progress bars and downloads."""

# For searches that a filter restricts; benchmarks/filters.py measures what comes of them.
_SPREAD = 3  # standard deviations of how many allowed ones a number of candidates holds
_EXPANSIONS = 2  # a graph loses more of the neighbours that are left when others are filtered out
_GATHERED_A_CANDIDATE = 20  # allowed vectors compared in the time of one candidate of a graph's search
_IN_PLACE_A_GATHERED = 3  # vectors compared where they lie in the time of one that is gathered
_BLOCK = 8192  # vectors gathered at a time: 3 MB of 384 dimensions


class DenseIndex:
    """A mapped index. It holds the view that usearch reads from: usearch itself keeps no reference."""

    def __init__(
        self, index: Index, compare: Callable[..., Any], view: memoryview, spec: IndexSpec, source: str
    ) -> None:
        """`compare` is usearch's search through a matrix."""
        self._spec = spec
        self._source = source
        self._index: Any = index
        self._compare = compare
        self._view = view
        self._vectors: Vectors | None = None  # looks at 64 places of the file: made when it is needed
        self._by_blocks = block_scan.pays()
        self._scanner: BlockScan | None = None
        # Concurrent searches of one usearch index share their scratch space.
        self._lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> DenseIndex:
        """Views the bundle's index without reading it into memory.

        Raises:
            CompatibilityError: usearch cannot view the file, or it is not what the manifest says.
        """
        # Not at the top: usearch 2.26.3 and 2.26.6 crash the process when onnxruntime is imported after them,
        # so the encoder is loaded first (see `Retriever.load`).
        usearch = import_without("usearch.index", UNUSED)

        view = bundle.map(spec.path)
        source = str(bundle.root / spec.path)
        try:
            index: Any = usearch.Index.restore(view, view=True)
        except Exception as error:  # usearch raises bare RuntimeError and ValueError
            raise CompatibilityError(_unusable(source, spec, str(error))) from None
        if index is None:
            raise CompatibilityError(_unusable(source, spec, "not an index it knows"))
        _check(index, spec, source)
        index.expansion_search = min(spec.expansion, spec.count)
        return cls(index, usearch.search, view, spec, source)

    def search(
        self, vector: NDArray[np.float32] | NDArray[np.int8], count: int, *, allowed: Allowed | None = None
    ) -> Ranking:
        """The `count` nearest passages by cosine, fewer only when there are fewer (or fewer are allowed).

        Args:
            vector: float32 (ndim,), of unit length; or int8, as `vectors` gives it.
            allowed: the only passages to answer with; None allows all.

        Raises:
            BundleError: a key of the index is no row of the bundle.
            ClosedError: the index has been closed.
        """
        stored = vector.dtype == np.int8
        query = vector.astype(np.int8) if stored else quantize(vector.astype(np.float32), self._spec.scale)
        with self._lock:
            self._require_open()
            if allowed is None or allowed.passages == self._spec.count:
                return self._nearest(query, min(count, self._spec.count))
            return self._nearest_allowed(query, min(count, allowed.passages), allowed)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim), at the manifest's scale.

        Raises:
            BundleError: the index has no vector of a row.
            ClosedError: the index has been closed.
        """
        with self._lock:
            self._require_open()
            return self._gathered(rows)

    def _require_open(self) -> None:
        if self._index is None:
            raise ClosedError("the dense index has been closed; open the bundle again")

    def _gathered(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        try:
            return self._stored().rows(rows)
        except KeyError as error:
            raise BundleError(f"{self._source}: has {error.args[0]}; rebuild the bundle") from None

    def _nearest(self, query: NDArray[np.int8], count: int) -> Ranking:
        exact = self._spec.search == "exact"
        if exact and self._by_blocks and (scan := self._block_scan()):
            return scan.nearest(query, count)
        matches = self._index.search(query, count, exact=exact, threads=1)
        if len(matches) < count:  # a graph may not reach every vector; an exact search does
            matches = self._index.search(query, count, exact=True, threads=1)
        if matches.keys.max(initial=0) >= self._spec.count:
            raise BundleError(f"{self._source}: has a key beyond {self._spec.count} rows; rebuild the bundle")
        return Ranking(matches.keys.astype(np.int64), 1 - matches.distances)

    def _nearest_allowed(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """Of few allowed passages every one is compared. Where many are, the nearest of all hold enough."""
        if count == 0:
            return empty()
        candidates, scan_up_to = self._plan(count, allowed.passages)
        if allowed.passages > scan_up_to:
            found = self._nearest(query, candidates)
            kept = np.flatnonzero(allowed.mask[found.rows])[:count]
            if len(kept) == count:
                return Ranking(found.rows[kept], found.scores[kept])
        return self._scan(query, count, np.flatnonzero(allowed.mask))

    def _plan(self, count: int, allowed: int) -> tuple[int, int]:
        """How many of all passages to look through for `count` of the allowed, and how many allowed ones are
        compared in the same time.
        """
        spec = self._spec
        share = allowed / spec.count
        # Where being allowed has nothing to do with being near, this is enough for nearly every query.
        candidates = math.ceil((count + _SPREAD * math.sqrt(count * (1 - share))) / share)
        if spec.search == "exact":
            return min(candidates, spec.count), spec.count // _IN_PLACE_A_GATHERED
        candidates = max(candidates, _EXPANSIONS * spec.expansion)
        return min(candidates, spec.count), _GATHERED_A_CANDIDATE * candidates

    def _scan(self, query: NDArray[np.int8], count: int, rows: NDArray[np.int64]) -> Ranking:
        """The nearest of these rows, by comparing each, a block at a time."""
        found, scores = [], []
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            matches = self._compare(self._gathered(some), query, min(count, len(some)), exact=True, threads=1)
            found.append(some[matches.keys])
            scores.append(1 - matches.distances)
        joined = np.concatenate(scores)
        order = np.argsort(-joined, kind="stable")[:count]
        return Ranking(np.concatenate(found)[order], joined[order])

    def _block_scan(self) -> BlockScan | None:
        matrix = self._stored().matrix
        if self._scanner is None and matrix is not None:
            self._scanner = BlockScan(matrix)
        return self._scanner

    def _stored(self) -> Vectors:
        if self._vectors is None:
            self._vectors = Vectors.of(self._index, self._view)
        return self._vectors

    def close(self) -> None:
        """Lets go of the index, then of the view under it."""
        with self._lock:
            self._index = None
            self._vectors = self._scanner = None
            self._view.release()


def quantize(vectors: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    """Scaled, rounded and clipped to ±127, shape as given; the same function on both sides of the build."""
    components: NDArray[np.int8] = np.clip(np.rint(vectors * np.float32(scale)), -127, 127).astype(np.int8)
    return components


def _check(index: Any, spec: IndexSpec, source: str) -> None:
    found = (len(index), index.ndim, index.dtype.name.lower(), index.metric_kind.name.lower())
    expected = (spec.count, spec.ndim, spec.dtype, spec.metric)
    if found != expected:
        raise CompatibilityError(f"{source}: holds {_shown(found)}; the manifest says {_shown(expected)}")


def _shown(facts: tuple[object, ...]) -> str:
    return "{} vectors of {} dimensions, {}, {}".format(*facts)


def _unusable(source: str, spec: IndexSpec, problem: str) -> str:
    written = spec.writer.get("usearch", "?")
    return f"{source}: usearch cannot view it ({problem}); written by usearch {written}; rebuild the bundle"
