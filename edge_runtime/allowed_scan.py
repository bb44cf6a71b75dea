"""Exact search of all or of what a filter allows, in an index with an order of its own or without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.exact_scan import ExactScan, Pieces
from edge_runtime.places import Places
from edge_runtime.ranking import Ranking


class AllowedScan:
    """Remembers what to compare for the last filter: they come again. One thread at a time."""

    def __init__(self, scan: ExactScan, places: Places | None) -> None:
        """Without `places` the rows of what is scanned are those of the index."""
        self._scan = scan
        self._places = places
        self._last: tuple[Allowed, Pieces] | None = None

    def cost(self, allowed: Allowed) -> int:
        """In vectors compared in place. Raises as `Places.rows`."""
        return self._pieces(allowed).cost

    def nearest(self, query: NDArray[np.int8], count: int, allowed: Allowed | None) -> Ranking:
        """The `count` rows of highest cosine to `query`, int8 (ndim,), of all where `allowed` is None.

        Raises:
            BundleError: as `Places.rows`.
        """
        if allowed is None:
            found = self._scan.nearest(query, count)
        else:
            found = self._scan.nearest_of(query, count, self._pieces(allowed))
        if self._places is None:
            return found
        return Ranking(self._places.rows(found.rows), found.scores)

    def _pieces(self, allowed: Allowed) -> Pieces:
        if self._last is None or self._last[0] is not allowed:
            mask, places = allowed.mask, self._places
            rows = np.flatnonzero(mask) if places is None else places.allowed(mask)
            self._last = allowed, Pieces.of(rows)
        return self._last[1]
