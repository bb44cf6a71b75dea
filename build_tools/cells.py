"""Writes the inverted file that `edge_runtime.cells` searches."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools import clusters, places
from build_tools.errors import BuildError
from build_tools.places import write_array
from edge_runtime.bits import packed

_CELLS_A_ROOT = 4
_FAR = 1.2  # × the mean size of a component: between the two levels of a normal distribution


def default_cells(count: int) -> int:
    """How many cells suit so many vectors: four times the root, as a power of two.

    What a search reads, all centroids and the codes of some cells, grows with the root then.
    """
    cells: int = 2 ** round(math.log2(_CELLS_A_ROOT * math.sqrt(count)))
    return min(count, cells)


def write(codes: NDArray[np.int8], folder: Path, *, cells: int, advance: Callable[[int], None]) -> None:
    """Writes the files of an inverted file.

    The same vectors give the same bytes, on the same kind of processor with as many threads.

    Args:
        codes: int8 (count, ndim), of any length; may be mapped.
        cells: at most `count`.
        advance: told how many more vectors are in their cell.

    Raises:
        BuildError: a file cannot be written.
    """
    centroids = clusters.centroids(codes, cells)
    owners = clusters.owners(codes, centroids, advance)
    rows = np.argsort(owners, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=cells))])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_array(folder / "centroids.npy", centroids.astype("<f4"))
        write_array(folder / "ends.npy", ends.astype("<i8"))
        places.write(rows, folder)
        places.write_vectors(codes, rows, folder)
        _write_codes(codes, rows, owners, centroids, folder)
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None


def _write_codes(
    codes: NDArray[np.int8],
    rows: NDArray[np.int64],
    owners: NDArray[np.int64],
    centroids: NDArray[np.float32],
    folder: Path,
) -> None:
    count, ndim = codes.shape
    words, factors = np.empty((2, count, -(-ndim // 64)), "<u8"), np.empty((2, count), "<f4")
    for start in range(0, count, clusters.BLOCK):
        block = slice(start, start + clusters.BLOCK)
        rest = clusters.units(codes[rows[block]]) - centroids[owners[rows[block]]]
        above, far = rest > 0, np.abs(rest) > _FAR * np.abs(rest).mean(axis=1, keepdims=True)
        words[:, block] = packed(np.stack([above, above == far]))
        signs = np.where(above, np.float32(1), np.float32(-1))
        for factor, levels in zip(factors, (signs, signs * np.where(far, 1.5, 0.5)), strict=True):
            sizes = np.einsum("ij,ij->i", rest, levels)
            factor[block] = np.einsum("ij,ij->i", rest, rest) / np.where(sizes > 0, sizes, 1)
    write_array(folder / "codes.npy", words)
    write_array(folder / "factors.npy", factors)
