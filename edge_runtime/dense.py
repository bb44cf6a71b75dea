"""Vectors to nearest passages, of all or of those that a filter allows.

Vectors are int8 under one global scale: components of a unit vector lie near ±1/√ndim, so a plain cast to
±127 would waste three of eight bits. Cosine ignores the scale.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ClosedError
from edge_runtime.manifest import IndexSpec
from edge_runtime.product_codes import ProductCodeIndex
from edge_runtime.ranking import Ranking, empty
from edge_runtime.two_stage import TwoStageIndex
from edge_runtime.usearch_index import UsearchIndex
from edge_runtime.vector_index import VectorIndex

_SURE = 2
"""Times as long as `nearest` takes to compare each of the allowed may take: only this misses none."""


class DenseIndex:
    """The dense index of an open bundle, whatever its strategy. Many threads may search it at once."""

    def __init__(self, index: VectorIndex, spec: IndexSpec) -> None:
        self._spec = spec
        self._index: VectorIndex | None = index
        # Concurrent searches of one usearch index share their scratch space.
        self._lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> DenseIndex:
        """Views the bundle's index without reading it into memory.

        Raises:
            CompatibilityError: usearch or faiss is missing or cannot view a file, or it is not what the
                manifest says.
            BundleError: files of the index contradict each other or the manifest.
        """
        if spec.search == "pq":
            return cls(ProductCodeIndex.open(bundle, spec), spec)
        if spec.search == "two-stage":
            return cls(TwoStageIndex.open(bundle, spec), spec)
        return cls(UsearchIndex.open(bundle, spec), spec)

    def search(
        self, vector: NDArray[np.float32] | NDArray[np.int8], count: int, *, allowed: Allowed | None = None
    ) -> Ranking:
        """The `count` nearest passages by cosine, fewer only when there are fewer (or fewer are allowed).

        Args:
            vector: float32 (ndim,), of unit length; or int8, as `vectors` gives it.
            allowed: the only passages to answer with; None allows all.

        Raises:
            BundleError: the index contradicts itself or the manifest.
            ClosedError: the index has been closed.
        """
        stored = vector.dtype == np.int8
        query = vector.astype(np.int8) if stored else quantize(vector.astype(np.float32), self._spec.scale)
        with self._lock:
            index = self._opened()
            if allowed is None or allowed.passages == self._spec.count:
                return index.nearest(query, min(count, self._spec.count), None)
            return _nearest_allowed(index, query, min(count, allowed.passages), allowed)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim), at the manifest's scale.

        Raises:
            BundleError: the index has no vector of a row.
            ClosedError: the index has been closed.
        """
        with self._lock:
            return self._opened().vectors(rows)

    def close(self) -> None:
        """Lets go of the index and its views. Closing twice is harmless."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _opened(self) -> VectorIndex:
        if self._index is None:
            raise ClosedError("the dense index has been closed; open the bundle again")
        return self._index


def quantize(vectors: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    """Scaled, rounded and clipped to ±127, shape as given; the same function on both sides of the build."""
    components: NDArray[np.int8] = np.clip(np.rint(vectors * np.float32(scale)), -127, 127).astype(np.int8)
    return components


def _nearest_allowed(index: VectorIndex, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
    """Each of the allowed is compared where that is not much dearer, and where too few of them are found."""
    if count == 0:
        return empty()
    if index.comparing(allowed) > _SURE * index.compared_in_time(count, allowed.passages):
        found = index.nearest(query, count, allowed)
        if len(found) == count:
            return found
    return index.compare(query, count, allowed)
