"""Dot products of one int8 vector with many, by what is fastest on this processor.

numkong, the kernels of usearch, computes them where it has instructions for them. On 64-bit ARM without int8
dot product, such as the Cortex-A72 of a Raspberry Pi 4, it would multiply one component at a time: there a
block of vectors is widened to float32 by NumPy; benchmarks/RESULTS.md has the instructions of both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import cpu

BLOCK = 256
"""Vectors widened at a time: 400 kB of 384 dimensions, which stay in a small processor's cache."""

Multiply = Callable[[NDArray[np.int8], NDArray[np.int8], NDArray[np.float32]], None]
"""Of vectors (n, ndim) with one (ndim,), into float32 (n,), where they are exact up to 1,040 dimensions."""


def kernel() -> Multiply:
    """The one for this processor."""
    return by_widening if widening_pays() else by_numkong()


def widening_pays() -> bool:
    """Whether this processor has nothing for int8."""
    return os.uname().machine in ("aarch64", "arm64") and not cpu.has_dot_product(cpu.describe().features)


def by_numkong() -> Multiply:
    """Imported when it is needed; usearch has imported it before."""
    import numkong

    cdist: Any = numkong.cdist

    def multiply(vectors: NDArray[np.int8], query: NDArray[np.int8], out: NDArray[np.float32]) -> None:
        cdist(query[np.newaxis], vectors, "dot", out=out[np.newaxis])

    return multiply


def by_widening(vectors: NDArray[np.int8], query: NDArray[np.int8], out: NDArray[np.float32]) -> None:
    """In NumPy, a block at a time."""
    wide = query.astype(np.float32)
    space = np.empty((min(BLOCK, len(vectors)), vectors.shape[1]), np.float32)
    for start in range(0, len(vectors), BLOCK):
        some = vectors[start : start + BLOCK]
        np.copyto(space[: len(some)], some)
        # Not BLAS, which would take all cores for it.
        np.einsum("ij,j->i", space[: len(some)], wide, out=out[start : start + len(some)])


def length(query: NDArray[np.int8]) -> float:
    """Of a vector; 1 for one of zeros."""
    return float(np.linalg.norm(query.astype(np.float32))) or 1.0
