"""Exact search in NumPy, for processors on which usearch compares int8 vectors one component at a time.

That is 64-bit ARM without int8 dot product, such as the Cortex-A72 of a Raspberry Pi 4; benchmarks/RESULTS.md
has the instructions of both. A block of vectors is widened to float32, where sums of int8 products are exact
up to 1,040 dimensions, and multiplied with the query.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_runtime import cpu
from edge_runtime.ranking import Ranking

_BLOCK = 256
"""Vectors widened at a time: 400 kB of 384 dimensions, which stay in a small processor's cache."""


def pays() -> bool:
    """Whether this processor is one of those."""
    return os.uname().machine in ("aarch64", "arm64") and not cpu.has_dot_product(cpu.describe().features)


class BlockScan:
    """Compares a query with every vector of a matrix. One thread at a time."""

    def __init__(self, matrix: NDArray[np.int8]) -> None:
        """`matrix` is int8 (n, ndim); it may be mapped, and is never copied whole."""
        self._matrix = matrix
        self._wide = np.empty((min(_BLOCK, len(matrix)), matrix.shape[1]), np.float32)
        self._lengths: NDArray[np.float32] | None = None

    def nearest(self, query: NDArray[np.int8], count: int) -> Ranking:
        """The `count` rows of highest cosine to `query`, int8 (ndim,); equals by row."""
        if self._lengths is None:
            self._lengths = np.concatenate([np.linalg.norm(block, axis=1) for _, block in self._blocks()])
            self._lengths[self._lengths == 0] = 1  # a vector of zeros is like nothing
        wide = query.astype(np.float32)
        scores = np.empty(len(self._matrix), np.float32)
        for start, block in self._blocks():
            # Not BLAS, which would take all cores for it.
            np.einsum("ij,j->i", block, wide, out=scores[start : start + len(block)])
        scores /= self._lengths * (np.linalg.norm(wide) or 1)
        if count < len(scores):
            last = np.partition(scores, len(scores) - count)[len(scores) - count]
            rows = np.flatnonzero(scores >= last)
        else:
            rows = np.arange(len(scores))
        rows = rows[np.argsort(-scores[rows], kind="stable")[:count]]
        return Ranking(rows.astype(np.int64), scores[rows])

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Each block as float32, with the row it begins at; the next one overwrites it."""
        for start in range(0, len(self._matrix), _BLOCK):
            some = self._matrix[start : start + _BLOCK]
            wide = self._wide[: len(some)]
            np.copyto(wide, some)
            yield start, wide
