"""One usearch file, viewed in place: searched exactly, or along the edges of its HNSW graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.allowed_scan import AllowedScan
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, CompatibilityError, of_library
from edge_runtime.exact_scan import IN_PLACE_A_GATHERED, ExactScan
from edge_runtime.lean_import import import_without
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import Places
from edge_runtime.ranking import Ranking
from edge_runtime.vector_index import VectorIndex
from edge_runtime.vectors import Vectors

if TYPE_CHECKING:
    from usearch.index import Index

UNUSED = ("tqdm", "urllib.request", "urllib.error")
"""What usearch imports for progress bars and downloads."""

# For searches that a filter restricts; benchmarks/filters.py measures what comes of them.
_SPREAD = 3  # standard deviations of how many allowed ones a number of candidates holds
_EXPANSIONS = 4  # a graph loses more of the neighbours that are left when others are filtered out

GATHERED_A_CANDIDATE = 35
"""Allowed vectors compared in the time of one candidate of a graph's search."""


class UsearchIndex(VectorIndex):
    """A mapped index. It holds the view that usearch reads from: usearch itself keeps no reference.

    What searches touch of it stays mapped: to map it again would make each take two to five times as long.
    """

    def __init__(
        self, index: Index, view: memoryview, spec: IndexSpec, source: str, places: Places | None = None
    ) -> None:
        """Without `places` the keys of `index` are rows."""
        self._index: Any = index
        self._view = view
        self._places = places
        self._spec = spec
        self._source = source
        self._vectors: Vectors | None = None  # looks at 64 places of the file: made when it is needed
        self._scan: AllowedScan | None = None

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> UsearchIndex:
        """Views the bundle's file without reading it into memory.

        Raises:
            CompatibilityError: usearch cannot view the file, or it is not what the manifest says.
            BundleError: the order of the vectors is not that of so many.
        """
        places = Places(bundle, spec) if spec.has_places else None
        path = f"{spec.path}/graph.usearch" if spec.has_places else spec.path
        index, view = opened(bundle, path, spec, spec.ndim)
        index.expansion_search = min(spec.expansion, spec.count)
        return cls(index, view, spec, str(bundle.root / path), places)

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """Where a filter allows many, the nearest of all hold enough of them."""
        if allowed is None:
            return self._nearest(query, count)
        found = self._nearest(query, candidates(self._spec, count, allowed.passages))
        kept = np.flatnonzero(allowed.mask[found.rows])[:count]
        return Ranking(found.rows[kept], found.scores[kept])

    def compared_in_time(self, count: int, allowed: int) -> int:
        """See `VectorIndex`."""
        if self._spec.search == "exact":
            return self._spec.count // IN_PLACE_A_GATHERED
        return GATHERED_A_CANDIDATE * candidates(self._spec, count, allowed)

    def comparing(self, allowed: Allowed) -> int:
        """See `VectorIndex`."""
        if (scan := self._in_place()) is None:
            return super().comparing(allowed)
        return scan.cost(allowed) // IN_PLACE_A_GATHERED

    def compare(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """Where the vectors lie, if in the order of their keys."""
        if (scan := self._in_place()) is None:
            return super().compare(query, count, allowed)
        return scan.nearest(query, count, allowed)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """See `VectorIndex`."""
        keys = rows if self._places is None else self._places.of(rows)
        try:
            return self._stored().rows(keys)
        except KeyError as error:
            raise BundleError(f"{self._source}: has {error.args[0]}; rebuild the bundle") from None

    def close(self) -> None:
        """Lets go of the index, then of the view under it."""
        self._index = self._places = None
        self._vectors = self._scan = None
        self._view.release()

    def _nearest(self, query: NDArray[np.int8], count: int) -> Ranking:
        if self._spec.search == "exact" and (scan := self._in_place()) is not None:
            return scan.nearest(query, count, None)
        found = self._by_key(query, count)
        if self._places is None:
            return found
        return Ranking(self._places.rows(found.rows), found.scores)

    def _by_key(self, query: NDArray[np.int8], count: int) -> Ranking:
        """With keys in the place of rows."""
        matches = self._index.search(query, count, exact=self._spec.search == "exact", threads=1)
        if len(matches) < count:  # a graph may not reach every vector; an exact search does
            matches = self._index.search(query, count, exact=True, threads=1)
        if matches.keys.max(initial=0) >= self._spec.count:
            raise BundleError(f"{self._source}: has a key beyond {self._spec.count} rows; rebuild the bundle")
        return Ranking(matches.keys.astype(np.int64), 1 - matches.distances)

    def _in_place(self) -> AllowedScan | None:
        """None where the vectors lie in another order than that of their keys."""
        matrix = self._stored().matrix
        if self._scan is None and matrix is not None:
            self._scan = AllowedScan(ExactScan(matrix), self._places)
        return self._scan

    def _stored(self) -> Vectors:
        if self._vectors is None:
            self._vectors = Vectors.of(self._view, self._index, lambda: viewed(self._view, keys=True))
        return self._vectors


def module() -> Any:
    """usearch, imported when it is needed.

    Not at the top of a module: usearch 2.26.3 and 2.26.6 crash the process when onnxruntime is imported after
    them, so the encoder is loaded first (see `Parts.load`).
    """
    return import_without("usearch.index", UNUSED)


def viewed(view: memoryview, *, keys: bool = False) -> Any:
    """A usearch index over a file's bytes, which are not read; None where they are none.

    Args:
        keys: whether it can be asked for the vector of a key. That takes a table of all keys, made here: over
            a million vectors of 128 dimensions 32 MB and .4 s. A search needs none.

    Raises:
        RuntimeError, ValueError: usearch cannot view it.
    """
    return module().Index.restore(view, view=True, enable_key_lookups=keys)


def candidates(spec: IndexSpec, count: int, allowed: int) -> int:
    """How many of all passages to look through for `count` of the allowed.

    Where being allowed has nothing to do with being near, this is enough for nearly every query.
    """
    share = allowed / spec.count
    wanted = math.ceil((count + _SPREAD * math.sqrt(count * (1 - share))) / share)
    if spec.search != "exact":
        wanted = max(wanted, _EXPANSIONS * spec.expansion)
    return min(wanted, spec.count)


def opened(bundle: Bundle, path: str, spec: IndexSpec, ndim: int) -> tuple[Any, memoryview]:
    """A usearch file of a bundle, viewed without reading it into memory, and the view that it needs.

    Args:
        ndim: of the vectors in it.

    Raises:
        CompatibilityError: usearch cannot view the file, or it is not what the manifest says.
    """
    source, view = str(bundle.root / path), bundle.map(path)
    try:
        index = viewed(view)
    except Exception as error:  # usearch raises bare RuntimeError and ValueError
        if not of_library(error):
            raise
        raise CompatibilityError(_unusable(source, spec, str(error))) from None
    if index is None:
        raise CompatibilityError(_unusable(source, spec, "not an index it knows"))
    found = (len(index), index.ndim, index.dtype.name.lower(), index.metric_kind.name.lower())
    expected = (spec.count, ndim, spec.dtype, spec.metric)
    bundle.give_back(path)  # a third of a graph, which a search by words would never read
    if found != expected:
        raise CompatibilityError(f"{source}: holds {_shown(found)}; the manifest says {_shown(expected)}")
    return index, view


def _shown(facts: tuple[object, ...]) -> str:
    return "{} vectors of {} dimensions, {}, {}".format(*facts)


def _unusable(source: str, spec: IndexSpec, problem: str) -> str:
    written = spec.writer.get("usearch", "?")
    return f"{source}: usearch cannot view it ({problem}); written by usearch {written}; rebuild the bundle"
