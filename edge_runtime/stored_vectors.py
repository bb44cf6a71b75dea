"""int8 vectors on the card, a few of which are compared by all of their components.

vectors.npy   int8 (count, ndim), in the order of `places`
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_runtime import residence
from edge_runtime.allowed_scan import AllowedScan
from edge_runtime.bundle import Bundle
from edge_runtime.exact_scan import ExactScan
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import Places, array
from edge_runtime.ranking import Ranking

_BLOCK = 4096  # vectors compared at a time: 6 MB as float32 of 384 dimensions


class StoredVectors:
    """The mapped file, in the folder that the manifest names. One thread at a time.

    Attributes:
        places: the order in which they lie.
        among: exact search of those that a filter allows.
    """

    def __init__(self, bundle: Bundle, spec: IndexSpec) -> None:
        """Views it and those of `Places`; vectors are not read.

        Raises:
            BundleError: a file is of another shape than `spec` says.
        """
        self._ndim = spec.ndim
        self.places = Places(bundle, spec)
        self._vectors = array(bundle, spec, "vectors", "int8", (spec.count, spec.ndim))
        member = f"{spec.path}/vectors.npy"
        bundle.read_at_random(member)
        self._residence = bundle.residence(member)
        self.among = AllowedScan(ExactScan(self._vectors, self._residence), self.places)
        self._header = bundle.manifest.entry(member).size - self._vectors.nbytes
        self._ahead = partial(bundle.read_ahead, member)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim). Raises as `Places.of`."""
        places = self.places.of(rows)
        self._read_ahead(places)
        found: NDArray[np.int8] = self._vectors[places]
        self._residence.touch(len(rows) * residence.AROUND)
        return found

    def nearest(self, places: NDArray[np.int64], unit: NDArray[np.float32], count: int) -> Ranking:
        """The `count` best of these places by cosine to `unit`, float32 (ndim,); equals by row.

        Raises:
            BundleError: as `Places.rows`.
        """
        self._read_ahead(places)
        scores = np.empty(len(places), np.float32)
        for start in range(0, len(places), _BLOCK):
            block = self._vectors[places[start : start + _BLOCK]].astype(np.float32)
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            # Not BLAS, which would take all cores for it.
            scores[start : start + _BLOCK] = np.einsum("ij,j->i", block, unit) / np.maximum(lengths, 1)
        blocks = np.unique(places * self._ndim // residence.AROUND)
        self._residence.touch(len(blocks) * residence.AROUND)
        rows = self.places.rows(places)
        order = np.lexsort((rows, -scores))[:count]
        return Ranking(rows[order], scores[order])

    def _read_ahead(self, places: NDArray[np.int64]) -> None:
        self._ahead(self._header + places * self._ndim, self._ndim)


def unit(query: NDArray[np.int8]) -> NDArray[np.float32]:
    """The query at unit length, float32 (ndim,); one of no length stays as it is."""
    floats = query.astype(np.float32)
    floats /= np.linalg.norm(floats) or 1
    return floats
