"""Which vectors are alike: cells around centroids, and an order in which neighbours are near each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

BLOCK = 8192
_SAMPLE = 64  # vectors a cell that centroids are learnt from
_BATCHES = 100
_A_CELL = 512  # vectors that stay in the order of their rows: about the pages that are mapped at once
_MOST_CELLS = 2048


def centroids(codes: NDArray[np.int8], cells: int) -> NDArray[np.float32]:
    """Of a sample, by k-means on unit vectors; float32 (cells, ndim), of unit length."""
    drawn = np.random.default_rng(0).permutation(len(codes))[: cells * _SAMPLE]
    sample = units(codes[np.sort(drawn)])
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
    return units(learner.fit(sample).cluster_centers_)


def owners(codes: NDArray[np.int8], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest of the centroids for each vector."""
    return np.concatenate([(units(block) @ centres.T).argmax(axis=1) for block in blocks(codes)])


def neighbourly(codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """The rows in an order in which vectors that are alike are near each other; int64 (count,).

    Cells follow each other as halving them again and again along their principal axis has it.
    """
    cells = max(1, min(_MOST_CELLS, 2 ** math.ceil(math.log2(max(1, len(codes) / _A_CELL)))))
    if cells == 1:
        return np.arange(len(codes))
    centres = centroids(codes, cells)
    ranks = np.empty(cells, np.int64)
    ranks[_halved(centres, np.arange(cells))] = np.arange(cells)
    return np.argsort(ranks[owners(codes, centres)], kind="stable")


def units(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Each divided by its length; one of no length stays as it is."""
    floats = vectors.astype(np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    floats /= np.where(lengths > 0, lengths, 1)
    return floats


def blocks(codes: NDArray[np.int8]) -> Iterator[NDArray[np.int8]]:
    """Some thousand vectors at a time."""
    return (codes[start : start + BLOCK] for start in range(0, len(codes), BLOCK))


def _halved(centres: NDArray[np.float32], which: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(which) <= 2:
        return which
    spread = centres[which] - centres[which].mean(axis=0)
    axis = np.linalg.svd(spread, full_matrices=False)[2][0]
    ordered = which[np.argsort(spread @ axis, kind="stable")]
    half = len(ordered) // 2
    return np.concatenate([_halved(centres, ordered[:half]), _halved(centres, ordered[half:])])
