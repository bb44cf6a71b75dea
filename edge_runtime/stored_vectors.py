"""int8 vectors on the card, a few of which are compared by all of their components.

vectors.npy   int8 (count, ndim), in the order of `places`

A few are read, not looked up in a mapping: a page that is touched there counts as the process' own, with
fifteen more around it, until it is given back. To read 64 takes as long as to touch them and give them back.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed_scan import AllowedScan
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.exact_scan import ExactScan
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import Places, array
from edge_runtime.ranking import Ranking

_BLOCK = 4096  # vectors read and compared at a time: 6 MB as float32 of 384 dimensions


class StoredVectors:
    """The open file, in the folder that the manifest names. One thread at a time.

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
        mapped = array(bundle, spec, "vectors", "int8", (spec.count, spec.ndim))
        member = f"{spec.path}/vectors.npy"
        bundle.read_at_random(member)
        self.among = AllowedScan(ExactScan(mapped, bundle.residence(member)), self.places)
        self._path = bundle.path(member)
        self._header = bundle.manifest.entry(member).size - mapped.nbytes
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        bundle.hold(self._file)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim).

        Raises:
            BundleError: as `Places.of`, or the file cannot be read.
        """
        found: NDArray[np.int8] = self._read(self.places.of(rows)).copy()
        return found

    def nearest(self, places: NDArray[np.int64], unit: NDArray[np.float32], count: int) -> Ranking:
        """The `count` best of these places by cosine to `unit`, float32 (ndim,); equals by row.

        Raises:
            BundleError: as `Places.rows`, or the file cannot be read.
        """
        scores = np.empty(len(places), np.float32)
        for start in range(0, len(places), _BLOCK):
            block = self._read(places[start : start + _BLOCK]).astype(np.float32)
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            # Not BLAS, which would take all cores for it.
            scores[start : start + _BLOCK] = np.einsum("ij,j->i", block, unit) / np.maximum(lengths, 1)
        rows = self.places.rows(places)
        order = np.lexsort((rows, -scores))[:count]
        return Ranking(rows[order], scores[order])

    def _read(self, places: NDArray[np.int64]) -> NDArray[np.int8]:
        """Vectors (places, ndim). All are asked for before one is waited for: cards read several at once."""
        file, size, offsets = self._file, self._ndim, (self._header + places * self._ndim).tolist()
        try:
            for offset in offsets:
                os.posix_fadvise(file, offset, size, os.POSIX_FADV_WILLNEED)
            data = b"".join([os.pread(file, size, offset) for offset in offsets])
        except OSError as error:
            raise BundleError(f"{self._path}: cannot be read ({error.strerror})") from None
        if len(data) != len(places) * size:
            raise BundleError(f"{self._path}: ends early; copy the bundle again")
        return np.frombuffer(data, np.int8).reshape(len(places), size)


def unit(query: NDArray[np.int8]) -> NDArray[np.float32]:
    """The query at unit length, float32 (ndim,); one of no length stays as it is."""
    floats = query.astype(np.float32)
    floats /= np.linalg.norm(floats) or 1
    return floats
