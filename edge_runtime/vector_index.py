"""What every kind of dense index answers, and how one is opened by its manifest entry."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.exact_scan import ExactScan
from edge_runtime.ranking import Ranking, best, empty

_BLOCK = 8192  # vectors gathered at a time: 3 MB of 384 dimensions


class VectorIndex(ABC):
    """int8 vectors by row, and a search for the nearest of them. One thread at a time."""

    @abstractmethod
    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """The `count` rows of highest cosine to `query`, int8 (ndim,), as far as the strategy finds them.

        Without `allowed` there are as many as asked for, where the index has so many. With it there may be
        fewer: the caller compares every allowed passage then.

        Raises:
            BundleError: the index contradicts itself or the manifest.
        """

    @abstractmethod
    def compared_in_time(self, count: int, allowed: int) -> int:
        """How many vectors are gathered and compared in the time that `nearest` takes for `count` of so many
        allowed passages: where comparing each takes no longer, it is the better search.
        """

    def comparing(self, allowed: Allowed) -> int:
        """How many vectors are gathered and compared in the time that `compare` takes."""
        return allowed.passages

    def compare(self, query: NDArray[np.int8], count: int, allowed: Allowed) -> Ranking:
        """The `count` allowed rows of highest cosine to `query`, by comparing each, a block at a time.

        Raises:
            BundleError: the index has no vector of a row.
        """
        rows, found = np.flatnonzero(allowed.mask), [empty()]
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            nearest = ExactScan(self.vectors(some)).nearest(query, count)
            found.append(Ranking(some[nearest.rows], nearest.scores))
        return best(found, count)

    @abstractmethod
    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim).

        Raises:
            BundleError: the index has no vector of a row.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of every view into the bundle."""
