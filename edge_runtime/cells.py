"""Search in two stages: the nearest cells by one bit a component, the best of these by their int8 vectors.

An inverted file (IVF): every vector lies in the cell of its nearest centroid. Of its difference to the
centroid the signs are kept, which tell its cosine to any query well enough to choose what is worth comparing
(the estimator of RaBitQ, Gao and Long, arXiv 2405.12497, without its rotation). A search reads the centroids,
the codes of some cells, 56 bytes a vector of 384 dimensions, and the int8 vectors of a few hundred; the rest
stays on the card.

The files, in the folder that the manifest names, beside those of `stored_vectors` and `places`.
Places are by cell, then by row:

    centroids.npy   float32 (cells, ndim), of unit length
    ends.npy        int64 (cells + 1,): cell c has the places from ends[c] up to ends[c + 1]
    codes.npy       uint64 (count, ⌈ndim / 64⌉), by place: bit i of a code, from the lowest of the first word
                    on, is 1 where component i of r is above 0; r is the unit vector less its centroid
    factors.npy     float32 (count,), by place: r·r / Σ|r|
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime import bits, stored_vectors
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.exact_scan import IN_PLACE_A_GATHERED
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import array
from edge_runtime.ranking import Ranking
from edge_runtime.stored_vectors import StoredVectors
from edge_runtime.vector_index import VectorIndex

_SPARE = 4  # estimates for each that is asked for, where more are asked for than the build tuned for
_CODES = 32_768  # estimated at a time: 2 MB of 384 dimensions
_GATHERED_AN_ESTIMATE = 2  # vectors gathered and compared in the time of one that is estimated
_CELLS_A_GATHERED = 8  # centroids likewise
_BITS = 4  # to which a component of a query is rounded
_REACH = 2.7  # × 1 / √ndim either way, evenly: of sixteen levels for a normal distribution


@dataclass(frozen=True, slots=True)
class CellFiles:
    """The mapped files; see the module's docstring."""

    centroids: NDArray[np.float32]
    ends: NDArray[np.int64]
    codes: NDArray[np.uint64]
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
            array(bundle, spec, "codes", "uint64", (spec.count, -(-spec.ndim // 64))),
            array(bundle, spec, "factors", "float32", (spec.count,)),
            StoredVectors(bundle, spec),
        )
        _check_ends(files.ends, spec, f"{bundle.root}/{spec.path}")
        return cls(files, spec)

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """The best by estimate, as many as the manifest's `expansion` or more, are compared."""
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
        if allowed is not None:
            kept = allowed.mask[files.stored.places.rows(places)]
            places, near = places[kept], near[kept]
        wanted = self._compared(count)
        if len(places) > wanted:
            places = places[_highest(near + self._estimated(places, unit), wanted)]
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

    def _estimated(self, places: NDArray[np.int64], unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """`_estimates` for these places, a block at a time: of many, copies would fill the memory."""
        files = self._opened()
        blocks = (places[start : start + _CODES] for start in range(0, len(places), _CODES))
        return np.concatenate(
            [_estimates(files.codes.take(some, axis=0), files.factors[some], unit) for some in blocks]
        )


def _estimates(
    codes: NDArray[np.uint64], factors: NDArray[np.float32], unit: NDArray[np.float32]
) -> NDArray[np.float32]:
    """About r·q for each code, float32 (n,), where q is rounded to sixteen levels so that bits are counted.

    With s the signs of r, r·q is about factor × s·q. A level is a sum of ±1, ±2, ±4 and ±8, each a sign of
    its own, and two signs differ where the bits of code and plane do.
    """
    most = 2**_BITS - 1
    step = 2 * _REACH / math.sqrt(len(unit)) / (most + 1)
    numbers = np.clip(np.floor(unit / step + (most + 1) / 2), 0, most).astype(np.uint8)
    planes = bits.packed(np.stack([numbers >> bit & 1 == 1 for bit in range(_BITS)]))
    differing = np.einsum("ij,j->i", bits.differing(codes, planes), 1 << np.arange(_BITS, dtype=np.uint32))
    estimates: NDArray[np.float32] = (
        factors * np.float32(step) * (np.float32(len(unit) * most / 2) - differing.astype(np.float32))
    )
    return estimates


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the `count` highest are, in rising order of places."""
    if count >= len(values):
        return np.arange(len(values))
    return np.sort(np.argpartition(values, len(values) - count)[len(values) - count :])


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
