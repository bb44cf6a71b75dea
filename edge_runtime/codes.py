"""Codes of two bits a component, read in pieces where a search needs them, and never mapped.

Mapped, they would count as the process' own memory until they are given back, and to give them back again and
again cost 2.7 ms of a search's 6.8 over a million passages. Read, they stay in the system's cache only.

codes.npy   uint64 (2, count, ⌈ndim / 64⌉): the first bits of all, then the second bits
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import array

_BLOCK = 32_768  # codes read at a time: 1.6 MB of 384 dimensions


class Codes:
    """The open file, in the folder that the manifest names. One thread at a time."""

    def __init__(self, bundle: Bundle, spec: IndexSpec) -> None:
        """Opens it; no code is read.

        Raises:
            BundleError: the file is of another shape than `spec` says.
        """
        member = f"{spec.path}/codes.npy"
        self._shape = (2, spec.count, -(-spec.ndim // 64))
        size = array(bundle, spec, "codes", "uint64", self._shape).nbytes
        self._path = bundle.path(member)
        self._header = bundle.manifest.entry(member).size - size
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        bundle.hold(self._file)
        self._block = np.empty((min(_BLOCK, spec.count), self._shape[2]), np.uint64)

    def first(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Iterator[NDArray[np.uint64]]:
        """First bits of the places from each start up to its stop, some codes (n, words) at a time.

        The next ones overwrite them.

        Raises:
            BundleError: the file cannot be read, or ends early.
        """
        filled, block = 0, self._block
        for begin, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            start = begin
            while start < stop:
                piece = block[filled : filled + stop - start]
                self._read(0, start, piece)
                start, filled = start + len(piece), filled + len(piece)
                if filled == len(block):
                    yield block
                    filled = 0
        if filled:
            yield block[:filled]

    def second(self, places: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Second bits of these places, which rise; uint64 (n, words). Raises as `first`."""
        codes = np.empty((len(places), self._shape[2]), np.uint64)
        begins = np.flatnonzero(np.diff(places, prepend=-2) != 1).tolist()
        for begin, end in zip(begins, [*begins[1:], len(places)], strict=False):  # none where no places are
            self._read(1, int(places[begin]), codes[begin:end])
        return codes

    def _read(self, plane: int, place: int, codes: NDArray[np.uint64]) -> None:
        offset = (plane * self._shape[1] + place) * self._shape[2] * codes.itemsize
        try:
            found = os.preadv(self._file, [codes.data], self._header + offset)
        except OSError as error:
            raise BundleError(f"{self._path}: cannot be read ({error.strerror})") from None
        if found != codes.nbytes:
            raise BundleError(f"{self._path}: ends early; copy the bundle again")
