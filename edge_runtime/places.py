"""Vectors in an order of their own: alike ones near each other, so that a search reads few pages of the card.

Of two files, little-endian. The *place* of a vector is where it comes in that order:

    rows.npy     int32 (count,): the row of each place
    places.npy   int32 (count,): the place of each row
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError
from edge_runtime.manifest import IndexSpec


class Places:
    """The mapped files, in the folder that the manifest names."""

    def __init__(self, bundle: Bundle, spec: IndexSpec) -> None:
        """Views them. Raises `BundleError` where one is of another shape than `spec` says."""
        self._source = f"{bundle.root}/{spec.path}"
        self._count = spec.count
        self._rows = array(bundle, spec, "rows", "int32", (spec.count,))
        self._places = array(bundle, spec, "places", "int32", (spec.count,))

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of these places. Raises `BundleError` where the file names one that is none."""
        return self._bounded(self._rows[places], "rows.npy")

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places of these rows. Raises as `rows`."""
        return self._bounded(self._places[rows], "places.npy")

    def allowed(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The places of the rows that are true in `mask`, bool (count,), rising. Raises as `rows`."""
        return np.flatnonzero(mask[self._bounded(self._rows, "rows.npy")])

    def _bounded(self, numbers: NDArray[np.int32], name: str) -> NDArray[np.int64]:
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self._count:
            raise BundleError(
                f"{self._source}/{name}: names one beyond the {self._count} of the index; rebuild the bundle"
            )
        return numbers.astype(np.int64)


def array(bundle: Bundle, spec: IndexSpec, name: str, dtype: str, shape: tuple[int | None, ...]) -> Any:
    """A mapped array of the index' folder.

    Args:
        shape: None stands for any number above 0.

    Raises:
        BundleError: it has another type or shape.
    """
    found = bundle.array(f"{spec.path}/{name}.npy")
    fits = len(found.shape) == len(shape) and all(
        length > 0 if wanted is None else length == wanted
        for length, wanted in zip(found.shape, shape, strict=True)
    )
    if found.dtype.name != dtype or not fits:
        wanted = ", ".join("n" if length is None else str(length) for length in shape)
        raise BundleError(
            f"{bundle.root}/{spec.path}/{name}.npy: expected {dtype} of shape ({wanted}); found "
            f"{found.dtype.name} of shape {found.shape}; rebuild the bundle"
        )
    return found
