"""Writes an order of vectors, as `edge_runtime.places` reads it, and vectors in that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from build_tools.clusters import BLOCK
from build_tools.workspace import new_array


def write(rows: NDArray[np.int64], folder: Path) -> None:
    """The row of each place, and the place of each row. Raises `OSError`."""
    places = np.empty(len(rows), np.int64)
    places[rows] = np.arange(len(rows))
    write_array(folder / "rows.npy", rows.astype("<i4"))
    write_array(folder / "places.npy", places.astype("<i4"))


def write_vectors(codes: NDArray[np.int8], rows: NDArray[np.int64], folder: Path) -> None:
    """The vectors int8 (count, ndim) in the order of `rows`. Raises `OSError`."""
    vectors = new_array(folder / "vectors.npy", np.int8, codes.shape)
    for start in range(0, len(rows), BLOCK):
        vectors[start : start + BLOCK] = codes[rows[start : start + BLOCK]]
    vectors.flush()


def write_array(path: Path, values: NDArray[Any]) -> None:
    """As the format of bundles has it. Raises `OSError`."""
    with path.open("wb") as file:
        npy_format.write_array(file, values, version=(1, 0), allow_pickle=False)
