"""Search by cells: one bit a component chooses in the nearest, a second one again, int8 vectors decide.

An inverted file (IVF): every vector lies in the cell of its nearest centroid. Of its difference r to the
centroid each component is kept as one of four levels, in two bits, which tell its cosine to any query well
enough to choose what is worth comparing (the estimator of RaBitQ, Gao and Long, arXiv 2405.12497, without
its rotation, which changed nothing). A search reads the centroids, the first bits in some cells, 52 bytes a
vector of 384 dimensions, the second bits of some hundred, and from the card the int8 vectors of some dozen.

The files, in the folder that the manifest names, beside those of `stored_vectors` and `places`.
Places are by cell, then by row:

    centroids.npy   float32 (cells, ndim), of unit length
    ends.npy        int64 (cells + 1,): cell c has the places from ends[c] up to ends[c + 1]
    codes.npy       uint64 (2, count, ⌈ndim / 64⌉), by place: bit i of a code, from the lowest of the first
                    word on, is component i. A 1 is +1 and a 0 is -1; a component stands at its first bit plus
                    half of its second one: 1 in the first where r is above 0
    factors.npy     float32 (2, count), by place: r·r / s·r, with s the first bits, and with s what both say
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime import bits, stored_vectors
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.codes import Codes
from edge_runtime.errors import BundleError
from edge_runtime.exact_scan import IN_PLACE_A_GATHERED
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import array
from edge_runtime.ranking import Ranking
from edge_runtime.stored_vectors import StoredVectors
from edge_runtime.vector_index import VectorIndex

_SPARE = 4  # estimates for each that is asked for, where more are asked for than the build tuned for
_AGAIN = 8  # estimated by both bits for each that is compared
_GATHERED_AN_ESTIMATE = 2  # vectors gathered and compared in the time of one that is estimated
_CELLS_A_GATHERED = 8  # centroids likewise
_BITS = 4  # to which a component of a query is rounded
_REACH = 2.7  # × 1 / √ndim either way, evenly: of sixteen levels for a normal distribution


@dataclass(frozen=True, slots=True)
class CellFiles:
    """The mapped files; see the module's docstring."""

    centroids: NDArray[np.float32]
    ends: NDArray[np.int64]
    codes: Codes
    factors: NDArray[np.float32]
    stored: StoredVectors


class CellIndex(VectorIndex):
    """A mapped inverted file."""

    def __init__(self, files: CellFiles, spec: IndexSpec) -> None:
        self._files: CellFiles | None = files
        self._spec = spec

    @classmethod
    def open(cls, bundle: Bundle, spec: IndexSpec) -> CellIndex:
        """Views the bundle's files and checks that they fit together; codes and vectors are not read.

        Raises:
            BundleError: a file is of another shape than `spec` says, or contradicts another.
        """
        centroids = array(bundle, spec, "centroids", "float32", (None, spec.ndim))
        files = CellFiles(
            centroids,
            array(bundle, spec, "ends", "int64", (len(centroids) + 1,)),
            Codes(bundle, spec),
            array(bundle, spec, "factors", "float32", (2, spec.count)),
            StoredVectors(bundle, spec),
        )
        _check_ends(files.ends, spec, f"{bundle.root}/{spec.path}")
        return cls(files, spec)

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """The best by estimates, as many as the manifest's `expansion` or more, are compared."""
        files, spec = self._opened(), self._spec
        unit = stored_vectors.unit(query)
        cosines = np.einsum("ij,j->i", files.centroids, unit)  # not BLAS, which would take all cores for it
        probes = min(spec.probes or 1, len(cosines))
        while True:
            cells = _highest(cosines, probes)
            places = _ranges(files.ends[cells], files.ends[cells + 1])
            if probes == len(cosines) or len(places) >= min(_SPARE * count, spec.count):
                break
            probes = min(2 * probes, len(cosines))
        near = np.repeat(cosines[cells], files.ends[cells + 1] - files.ends[cells])
        compared = self._compared(count)
        if len(places) > compared:
            places = self._chosen(places, near, cells, unit, compared, allowed)
        elif allowed is not None:
            places = places[allowed.mask[files.stored.places.rows(places)]]
        return files.stored.nearest(places, unit, count)

    def compared_in_time(self, count: int, allowed: int) -> int:
        """See `VectorIndex`."""
        cells = len(self._opened().centroids)
        probed = self._spec.count * min(1.0, (self._spec.probes or 1) / cells)
        return int(self._compared(count) + _GATHERED_AN_ESTIMATE * probed + cells / _CELLS_A_GATHERED)

    def comparing(self, allowed: Allowed) -> int:
        """See `VectorIndex`."""
        return self._opened().stored.among.cost(allowed) // IN_PLACE_A_GATHERED

    def compare(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """Where the vectors lie."""
        return self._opened().stored.among.nearest(query, count, allowed)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """See `VectorIndex`."""
        return self._opened().stored.vectors(rows)

    def close(self) -> None:
        """Drops every view into the bundle."""
        self._files = None

    def _opened(self) -> CellFiles:
        assert self._files is not None  # `DenseIndex` asks no closed one
        return self._files

    def _compared(self, count: int) -> int:
        return max(self._spec.expansion, 3 * count // 2)

    def _chosen(
        self,
        places: NDArray[np.int64],
        near: NDArray[np.float32],
        cells: NDArray[np.int64],
        unit: NDArray[np.float32],
        compared: int,
        allowed: Allowed | None,
    ) -> NDArray[np.int64]:
        """The best of the places in these cells by the first bits, and of these, `compared` by both."""
        files, asked = self._opened(), _Rounded.of(unit)
        blocks = files.codes.first(files.ends[cells], files.ends[cells + 1])
        sums = np.concatenate([asked.sums(block) for block in blocks])
        if allowed is not None:
            kept = np.flatnonzero(allowed.mask[files.stored.places.rows(places)])
            places, near, sums = places[kept], near[kept], sums[kept]
        best = _highest(near + files.factors[0].take(places) * sums, _AGAIN * compared)
        places, near, sums = places[best], near[best], sums[best]
        sums += asked.sums(files.codes.second(places)) / 2
        return places[_highest(near + files.factors[1].take(places) * sums, compared)]


@dataclass(frozen=True, slots=True)
class _Rounded:
    """A query whose components are rounded to sixteen levels, so that bits are counted in place of products.

    Attributes:
        planes: uint64 (4, words). A level is a sum of ±1, ±2, ±4 and ±8, each a sign of its own.
        step: between two levels.
        ndim: the number of components.
    """

    planes: NDArray[np.uint64]
    step: float
    ndim: int

    @classmethod
    def of(cls, unit: NDArray[np.float32]) -> _Rounded:
        """Rounds a unit vector, float32 (ndim,)."""
        most = 2**_BITS - 1
        step = 2 * _REACH / math.sqrt(len(unit)) / (most + 1)
        numbers = np.clip(np.floor(unit / step + (most + 1) / 2), 0, most).astype(np.uint8)
        planes = bits.packed(np.stack([numbers >> bit & 1 == 1 for bit in range(_BITS)]))
        return cls(planes, step, len(unit))

    def sums(self, codes: NDArray[np.uint64]) -> NDArray[np.float32]:
        """s·q for each code (n, words) of signs s, float32 (n,): two signs differ where the bits do."""
        one, two, four, eight = bits.differing(codes, self.planes).T
        differing = one + 2 * (two + 2 * (four + 2 * eight))
        agreeing = np.float32(self.ndim * (2**_BITS - 1) / 2) - differing.astype(np.float32)
        sums: NDArray[np.float32] = np.float32(self.step) * agreeing
        return sums


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the `count` highest are, in rising order of places; of equals the first."""
    if count >= len(values):
        return np.arange(len(values))
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.sort(np.append(above, equal[: count - len(above)]))


def _ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """All whole numbers from each start up to its stop, int64."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    numbers: NDArray[np.int64] = np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
    return numbers


def _check_ends(ends: NDArray[np.int64], spec: IndexSpec, source: str) -> None:
    if ends[0] != 0 or ends[-1] != spec.count or np.any(ends[1:] < ends[:-1]):
        raise BundleError(
            f"{source}/ends.npy: expected to rise from 0 to {spec.count}, one step a cell; rebuild the bundle"
        )
