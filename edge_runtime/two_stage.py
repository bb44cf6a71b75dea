"""Search in two stages: a graph of fewer dimensions finds candidates, their int8 vectors decide.

The graph (HNSW, Malkov and Yashunin, arXiv 1603.09320) holds every vector by its principal components, a
third of the dimensions: a step of its walk reads a third of the bytes, and about half of a whole graph has to
be in memory. What it finds is compared by all components, which are read from the card.

The files, in the folder that the manifest names, beside those of `stored_vectors` and `places`:

    axes.npy        float32 (ndim, n): the principal axes, one a column, orthonormal
    graph.usearch   int8 (count, n), cosine; the key of a vector is its place. A vector is the unit vector's
                    product with the axes, scaled so that its largest component is ±127.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import stored_vectors, usearch_index
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.exact_scan import IN_PLACE_A_GATHERED
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import array
from edge_runtime.ranking import Ranking
from edge_runtime.stored_vectors import StoredVectors
from edge_runtime.vector_index import VectorIndex


class TwoStageIndex(VectorIndex):
    """A mapped graph over mapped vectors. It holds the view that usearch reads from."""

    def __init__(
        self,
        graph: Any,
        view: memoryview,
        axes: NDArray[np.float32],
        stored: StoredVectors,
        spec: IndexSpec,
        source: str,
    ) -> None:
        self._graph, self._view, self._source = graph, view, source
        self._axes: NDArray[np.float32] | None = axes
        self._stored: StoredVectors | None = stored
        self._spec = spec

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> TwoStageIndex:
        """Views the bundle's files and checks that they fit together.

        Raises:
            CompatibilityError: usearch cannot view the graph, or it is not what the manifest says.
            BundleError: another file is of another shape than `spec` says.
        """
        axes = array(bundle, spec, "axes", "float32", (spec.ndim, None))
        stored = StoredVectors(bundle, spec)
        path = f"{spec.path}/graph.usearch"
        graph, view = usearch_index.opened(bundle, path, spec, axes.shape[1])
        return cls(graph, view, axes, stored, spec, str(bundle.root / path))

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """Compares as many as the manifest's `expansion`, or more where more are asked for."""
        unit = stored_vectors.unit(query)
        if allowed is None:
            places = self._candidates(unit, max(self._spec.expansion, 2 * count))
        else:
            most = usearch_index.candidates(self._spec, 2 * count, allowed.passages)
            places = self._candidates(unit, most)
            places = places[allowed.mask[self._vectors().places.rows(places)]]
        return self._vectors().nearest(places, unit, count)

    def compared_in_time(self, count: int, allowed: int) -> int:
        """See `VectorIndex`."""
        return usearch_index.GATHERED_A_CANDIDATE * usearch_index.candidates(self._spec, 2 * count, allowed)

    def comparing(self, allowed: Allowed) -> int:
        """See `VectorIndex`."""
        return self._vectors().among.cost(allowed) // IN_PLACE_A_GATHERED

    def compare(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """Where the vectors lie."""
        return self._vectors().among.nearest(query, count, allowed)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """See `VectorIndex`."""
        return self._vectors().vectors(rows)

    def close(self) -> None:
        """Lets go of the graph, then of the view under it."""
        self._graph = self._axes = self._stored = None
        self._view.release()

    def _candidates(self, unit: NDArray[np.float32], most: int) -> NDArray[np.int64]:
        """The places of the nearest by principal components, `most` of them or all."""
        assert self._axes is not None  # `DenseIndex` asks no closed one
        if most >= self._spec.count:
            return np.arange(self._spec.count)
        asked = principal(unit[np.newaxis], self._axes)[0]
        self._graph.expansion_search = most
        matches = self._graph.search(asked, most, threads=1)
        if len(matches) < most:  # a graph may not reach every vector; an exact search does
            matches = self._graph.search(asked, most, exact=True, threads=1)
        if matches.keys.max(initial=0) >= self._spec.count:
            problem = f"has a key beyond {self._spec.count} places"
            raise BundleError(f"{self._source}: {problem}; rebuild the bundle")
        places: NDArray[np.int64] = matches.keys.astype(np.int64)
        return places

    def _vectors(self) -> StoredVectors:
        assert self._stored is not None  # `DenseIndex` asks no closed one
        return self._stored


def principal(units: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.int8]:
    """What a graph holds of unit vectors (n, ndim), int8 (n, axes); the same on both sides of the build.

    Each is scaled by itself, for cosine does not mind and no bit is left unused.
    """
    components = np.einsum("ij,jk->ik", units, axes) if len(units) == 1 else units @ axes
    largest = np.abs(components).max(axis=1, keepdims=True)
    codes: NDArray[np.int8] = np.rint(components * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
    return codes
