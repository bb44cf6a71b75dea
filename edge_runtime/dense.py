"""Vectors to nearest passages, over a usearch index viewed in place.

Vectors are int8 under one global scale: components of a unit vector lie near ±1/√ndim, so a plain cast to
±127 would waste three of eight bits. Cosine ignores the scale.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.lean_import import import_without
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking

if TYPE_CHECKING:
    from usearch.index import Index

UNUSED = ("tqdm", "urllib.request", "urllib.error")
"""What usearch imports for progress bars and downloads."""


class DenseIndex:
    """A mapped index. It holds the view that usearch reads from: usearch itself keeps no reference."""

    def __init__(self, index: Index, view: memoryview, spec: IndexSpec, source: str) -> None:
        self._spec = spec
        self._source = source
        self._index: Any = index
        self._view = view
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
        Index = import_without("usearch.index", UNUSED).Index  # noqa: N806

        view = bundle.map(spec.path)
        source = str(bundle.root / spec.path)
        try:
            index: Any = Index.restore(view, view=True)
        except Exception as error:  # usearch raises bare RuntimeError and ValueError
            raise CompatibilityError(_unusable(source, spec, str(error))) from None
        if index is None:
            raise CompatibilityError(_unusable(source, spec, "not an index it knows"))
        _check(index, spec, source)
        index.expansion_search = min(spec.expansion, spec.count)
        return cls(index, view, spec, source)

    def search(self, vector: NDArray[np.float32], count: int) -> Ranking:
        """The `count` nearest passages by cosine, fewer only when there are fewer.

        Args:
            vector: float32 (ndim,), of unit length.

        Raises:
            BundleError: a key of the index is no row of the bundle.
            ClosedError: the index has been closed.
        """
        query = quantize(vector, self._spec.scale)
        exact, count = self._spec.search == "exact", min(count, self._spec.count)
        with self._lock:
            if self._index is None:
                raise ClosedError("the dense index has been closed; open the bundle again")
            matches = self._index.search(query, count, exact=exact, threads=1)
            if len(matches) < count:  # a graph may not reach every vector; an exact search does
                matches = self._index.search(query, count, exact=True, threads=1)
        if matches.keys.max(initial=0) >= self._spec.count:
            raise BundleError(f"{self._source}: has a key beyond {self._spec.count} rows; rebuild the bundle")
        return Ranking(matches.keys.astype(np.int64), 1 - matches.distances)

    def close(self) -> None:
        """Lets go of the index, then of the view under it."""
        with self._lock:
            self._index = None
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
