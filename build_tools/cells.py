"""Writes the inverted file that `edge_runtime.cells` searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from build_tools.errors import BuildError
from edge_runtime.cells import packed

BLOCK = 8192
_SAMPLE = 64  # vectors a cell that centroids are learnt from
_BATCHES = 100
_CELLS_A_ROOT = 4


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
    centroids = _centroids(codes, cells)
    owners = np.concatenate([_nearest(block, centroids) for block in _told(_blocks(codes), advance)])
    rows = np.argsort(owners, kind="stable")
    places = np.empty_like(rows)
    places[rows] = np.arange(len(rows))
    ends = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=cells))])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "centroids.npy", centroids.astype("<f4"))
        _write(folder / "ends.npy", ends.astype("<i8"))
        _write(folder / "rows.npy", rows.astype("<i4"))
        _write(folder / "places.npy", places.astype("<i4"))
        _write_vectors(codes, rows, owners, centroids, folder)
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None


def _write_vectors(
    codes: NDArray[np.int8],
    rows: NDArray[np.int64],
    owners: NDArray[np.int64],
    centroids: NDArray[np.float32],
    folder: Path,
) -> None:
    count, ndim = codes.shape
    words = np.empty((count, -(-ndim // 64)), "<u8")
    factors = np.empty(count, "<f4")
    vectors: Any = npy_format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.int8, shape=(count, ndim), version=(1, 0)
    )
    for start in range(0, count, BLOCK):
        some = rows[start : start + BLOCK]
        block = codes[some]
        rest = _units(block) - centroids[owners[some]]
        words[start : start + BLOCK] = packed(rest > 0)
        sizes = np.abs(rest).sum(axis=1)
        factors[start : start + BLOCK] = np.einsum("ij,ij->i", rest, rest) / np.where(sizes > 0, sizes, 1)
        vectors[start : start + BLOCK] = block
    vectors.flush()
    _write(folder / "codes.npy", words)
    _write(folder / "factors.npy", factors)


def _centroids(codes: NDArray[np.int8], cells: int) -> NDArray[np.float32]:
    """Of a sample, by k-means on unit vectors; float32 (cells, ndim), of unit length."""
    drawn = np.random.default_rng(0).permutation(len(codes))[: cells * _SAMPLE]
    sample = _units(codes[np.sort(drawn)])
    batch = min(len(sample), max(1024, 2 * cells))
    learner = MiniBatchKMeans(
        cells,
        init="random",
        batch_size=batch,
        max_iter=max(1, _BATCHES * batch // len(sample)),
        max_no_improvement=None,
        n_init=1,
        reassignment_ratio=0.01,
        random_state=0,
    )
    return _units(learner.fit(sample).cluster_centers_)


def _nearest(codes: NDArray[np.int8], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    owners: NDArray[np.int64] = (_units(codes) @ centroids.T).argmax(axis=1)
    return owners


def _units(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Each divided by its length; one of no length stays as it is."""
    floats = vectors.astype(np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    floats /= np.where(lengths > 0, lengths, 1)
    return floats


def _blocks(codes: NDArray[np.int8]) -> Iterator[NDArray[np.int8]]:
    return (codes[start : start + BLOCK] for start in range(0, len(codes), BLOCK))


def _told(blocks: Iterator[NDArray[np.int8]], advance: Callable[[int], None]) -> Iterator[NDArray[np.int8]]:
    for block in blocks:
        yield block
        advance(len(block))


def _write(path: Path, values: NDArray[Any]) -> None:
    with path.open("wb") as file:
        npy_format.write_array(file, values, version=(1, 0), allow_pickle=False)
