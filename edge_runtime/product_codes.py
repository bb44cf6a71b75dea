"""Search by product codes: all of them are looked at, and the best are compared by their int8 vectors.

A vector is cut into parts of a few components, and of each part the nearest of sixteen is kept, in four bits
(product quantization, Jégou, Douze and Schmid 2011, doi 10.1109/TPAMI.2010.57). A query's products with the
sixteen of every part are made once; then they are added up for thirty-two codes at a time in the processor's
registers (André, Kermarrec and Le Scouarnec, arXiv 1812.09162). No graph is walked and no cell left out: no
question is harder than another, and a filter only leaves out codes.

faiss does it, so a device needs ``edge-runtime[faiss]``. It reads the codes into memory of the process' own:
72 MB of a million vectors of 384 dimensions, beside which the vectors stay on the card. The files, in the
folder that the manifest names, beside those of `stored_vectors` and `places`:

    codes.faiss   an IndexIVFPQFastScan of one cell, by inner product; the id of a code is its place. It has
                  the vectors' dimensions, and zeros up to a multiple of a part's components
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import stored_vectors
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, CompatibilityError, of_library
from edge_runtime.exact_scan import IN_PLACE_A_GATHERED
from edge_runtime.faiss_library import faiss
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking
from edge_runtime.residence import AROUND
from edge_runtime.stored_vectors import StoredVectors
from edge_runtime.vector_index import VectorIndex

_CODES_A_GATHERED = 25  # looked at in the time that one vector is gathered and compared
_GATHERED_A_READ = 20  # gathered and compared in the time that one is read and compared
_MAPPED = 2  # times as long as vectors in memory those take that are mapped first
_EXPANSIONS = 4  # times as many are compared with a filter: what is allowed may be far from the query


@dataclass(frozen=True, slots=True)
class _Filter:
    """What is allowed, by place.

    Attributes:
        params: what makes faiss leave out the other places.
        blocks: in how many pieces of `AROUND` bytes the allowed vectors lie.
    """

    allowed: Allowed
    params: Any
    blocks: int


class ProductCodeIndex(VectorIndex):
    """Codes in memory over vectors on the card."""

    def __init__(self, codes: Any, stored: StoredVectors, spec: IndexSpec, source: str) -> None:
        """`codes` is faiss' index, in the file `source`."""
        self._codes, self._source = codes, source
        self._stored: StoredVectors | None = stored
        self._spec = spec
        self._last: _Filter | None = None  # filters come again

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> ProductCodeIndex:
        """Reads the codes, views the other files and checks that they fit together.

        Raises:
            CompatibilityError: faiss is missing or cannot read the codes, or they are not what the manifest
                says.
            BundleError: another file is of another shape than `spec` says.
        """
        source = str(bundle.path(f"{spec.path}/codes.faiss"))
        return cls(_read(source, spec), StoredVectors(bundle, spec), spec, source)

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """Compares as many as the manifest's `expansion`, or more where more are asked for."""
        most = self._most(count, None if allowed is None else allowed.passages)
        if most < self._spec.count:
            unit = stored_vectors.unit(query)
            found = self._vectors().nearest(self._candidates(unit, most, allowed), unit, count)
            if allowed is not None or len(found) == count:  # faiss finds none for a query of no length
                return found
        return self._vectors().among.nearest(query, count, None)

    def compared_in_time(self, count: int, allowed: int) -> int:
        """See `VectorIndex`."""
        return self._spec.count // _CODES_A_GATHERED + _GATHERED_A_READ * self._most(count, allowed)

    def comparing(self, allowed: Allowed) -> int:
        """See `VectorIndex`."""
        return min(self._reading(allowed), self._mapping(allowed))

    def compare(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """Few are read; many are compared where they lie, for which they are mapped."""
        if self._mapping(allowed) < self._reading(allowed):
            return self._vectors().among.nearest(query, count, allowed)
        places = self._vectors().places.of(np.flatnonzero(allowed.mask))
        return self._vectors().nearest(places, stored_vectors.unit(query), count)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """See `VectorIndex`."""
        return self._vectors().vectors(rows)

    def close(self) -> None:
        """Lets go of the codes and of every view into the bundle."""
        self._codes = self._last = self._stored = None

    def _most(self, count: int, allowed: int | None) -> int:
        """How many are compared for `count` of so many allowed passages; None allows all."""
        most = max(self._spec.expansion, 3 * count // 2)
        return most if allowed is None else min(_EXPANSIONS * most, allowed)

    def _reading(self, allowed: Allowed) -> int:
        """What it takes to read and compare each, in vectors gathered and compared."""
        return _GATHERED_A_READ * allowed.passages

    def _mapping(self, allowed: Allowed) -> int:
        """What it takes to compare each where it lies: what is mapped with it takes as long as it does."""
        vectors = self._filter(allowed).blocks * AROUND // self._spec.ndim
        return _MAPPED * min(vectors, self._spec.count) // IN_PLACE_A_GATHERED

    def _candidates(self, unit: NDArray[np.float32], most: int, allowed: Allowed | None) -> NDArray[np.int64]:
        """The places of the best of the allowed by codes, at most so many."""
        asked = padded(unit[np.newaxis], self._codes.d)
        params = None if allowed is None else self._filter(allowed).params
        places: NDArray[np.int64] = self._codes.search(asked, most, params=params)[1][0]
        if places.max(initial=-1) >= self._spec.count:
            problem = f"has an id beyond {self._spec.count} places"
            raise BundleError(f"{self._source}: {problem}; rebuild the bundle")
        return places[places >= 0]  # faiss fills up with -1

    def _filter(self, allowed: Allowed) -> _Filter:
        if self._last is None or self._last.allowed is not allowed:
            places = self._vectors().places.allowed(allowed.mask)
            mask = np.zeros(self._spec.count, np.bool_)
            mask[places] = True
            selector = faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            params = faiss().SearchParametersIVF(sel=selector, nprobe=1)
            blocks = np.count_nonzero(np.diff(places * self._spec.ndim // AROUND, prepend=-1))
            self._last = _Filter(allowed, params, int(blocks))
        return self._last

    def _vectors(self) -> StoredVectors:
        assert self._stored is not None  # `DenseIndex` asks no closed one
        return self._stored


def padded(units: NDArray[np.float32], ndim: int) -> NDArray[np.float32]:
    """Vectors (n, at most ndim) with zeros up to `ndim` components; the same on both sides of the build."""
    whole = np.zeros((len(units), ndim), np.float32)
    whole[:, : units.shape[1]] = units
    return whole


def _read(source: str, spec: IndexSpec) -> Any:
    """The index of faiss in a file."""
    try:
        library = faiss()
    except CompatibilityError as error:
        raise CompatibilityError(f"{source}: {error}") from None
    try:
        codes = library.read_index(source)
    except Exception as error:  # faiss raises bare RuntimeError
        if not of_library(error):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[-1][-200:]
        problem = "its path is not UTF-8" if isinstance(error, TypeError) else said
        raise CompatibilityError(
            f"{source}: faiss {library.__version__} cannot read it ({problem}); written by faiss "
            f"{spec.writer.get('faiss', '?')}; pip install -U faiss-cpu, or rebuild the bundle"
        ) from None
    found = (type(codes).__name__, int(codes.ntotal), int(codes.metric_type), int(getattr(codes, "nlist", 0)))
    expected = ("IndexIVFPQFastScan", spec.count, library.METRIC_INNER_PRODUCT, 1)
    if found != expected or not spec.ndim <= codes.d < spec.ndim + codes.pq.dsub:
        raise CompatibilityError(
            f"{source}: holds {found[1]} codes of {codes.d} dimensions in {found[3]} cells, a {found[0]}; "
            f"the manifest says {spec.count} of {spec.ndim} dimensions; rebuild the bundle"
        )
    return codes
