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
from edge_runtime.errors import CompatibilityError
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking

if TYPE_CHECKING:
    from usearch.index import Index


class DenseIndex:
    """A mapped index. It holds the view that usearch reads from: usearch itself keeps no reference."""

    def __init__(self, index: Index, view: memoryview, spec: IndexSpec) -> None:
        self.spec = spec
        self._index: Any = index
        self._view = view
        # Concurrent searches of one usearch index share their scratch space.
        self._lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> DenseIndex:
        """Views the bundle's index without reading it into memory.

        Raises:
            CompatibilityError: this usearch cannot honour what the manifest says of the file.
        """
        # Not at the top: usearch 2.26.3 to 2.26.6 crash the process when onnxruntime is imported after them,
        # so the encoder is loaded first (see `Retriever.load`).
        from usearch.index import Index

        view = bundle.map(spec.path)
        path = bundle.root / spec.path
        try:
            found = Index.metadata(view)
            index = Index.restore(view, view=True)
        except Exception as error:  # usearch raises bare RuntimeError and ValueError
            found, index = None, None
            problem = str(error)
        else:
            problem = "not an index it knows"
        if not found or index is None:
            written = spec.writer.get("usearch", "?")
            raise CompatibilityError(f"{path}: usearch cannot view it ({problem}); written by usearch {written}")
        _check(index, spec, str(path))
        index.expansion_search = spec.expansion
        return cls(index, view, spec)

    def search(self, vector: NDArray[np.float32], count: int) -> Ranking:
        """The `count` nearest passages by cosine, fewer only when there are fewer.

        Args:
            vector: float32 (ndim,), of unit length.
        """
        query = quantize(vector, self.spec.scale)
        count = min(count, self.spec.count)
        with self._lock:
            matches = self._index.search(query, count, exact=self.spec.search == "exact", threads=1)
        return Ranking(matches.keys.astype(np.int64), (1.0 - matches.distances).astype(np.float32))

    def close(self) -> None:
        """Lets go of the index, then of the view under it."""
        with self._lock:
            self._index = None
            self._view.release()


def quantize(vectors: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    """Scaled, rounded and clipped to ±127; the same function on both sides of the build."""
    return np.clip(np.rint(vectors * np.float32(scale)), -127, 127).astype(np.int8)


def _check(index: Index, spec: IndexSpec, path: str) -> None:
    found = {"ndim": index.ndim, "count": len(index), "dtype": str(index.dtype), "metric": str(index.metric_kind)}
    if (found["ndim"], found["count"]) != (spec.ndim, spec.count):
        raise CompatibilityError(f"{path}: holds {found}; the manifest says {spec.ndim} × {spec.count}")
    if not (found["dtype"].lower().endswith("i8") and "cos" in found["metric"].lower()):
        raise CompatibilityError(f"{path}: holds {found}; the manifest says {spec.dtype}, {spec.metric}")
