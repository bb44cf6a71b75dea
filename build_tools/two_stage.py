"""Writes the graph of principal components that `edge_runtime.two_stage` searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools import clusters, graph, places
from build_tools.errors import BuildError
from build_tools.recipe import IndexSpec
from edge_runtime.two_stage import principal

_SAMPLE = 50_000
_MULTIPLE = 32


def default_axes(ndim: int) -> int:
    """A third of the dimensions, up to the next multiple of 32: 128 of 384."""
    return min(ndim, -(-ndim // (3 * _MULTIPLE)) * _MULTIPLE)


def write(
    codes: NDArray[np.int8], folder: Path, *, spec: IndexSpec, advance: Callable[[int], object]
) -> None:
    """Writes `edge_runtime.manifest.TWO_STAGE_FILES` for vectors int8 (count, ndim), which may be mapped.

    The same vectors give the same bytes, on the same kind of processor with as many threads.

    Args:
        advance: told how many more vectors are in the graph.

    Raises:
        BuildError: a file cannot be written.
    """
    rows, ndim = clusters.neighbourly(codes), codes.shape[1]
    axes = principal_axes(codes, min(spec.axes or default_axes(ndim), ndim))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places.write_array(folder / "axes.npy", axes.astype("<f4"))
        places.write(rows, folder)
        places.write_vectors(codes, rows, folder)
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None
    starts = range(0, len(rows), clusters.BLOCK)
    blocks = (clusters.units(codes[rows[start : start + clusters.BLOCK]]) for start in starts)
    reduced = (principal(block, axes) for block in blocks)
    graph.write(reduced, folder / "graph.usearch", spec=spec, advance=advance)


def principal_axes(codes: NDArray[np.int8], count: int) -> NDArray[np.float32]:
    """The directions in which unit vectors reach farthest, float32 (ndim, count); from zero, not from a mean.

    Taken from at most 100,000 vectors, evenly spread.
    """
    sample = clusters.units(codes[:: max(1, len(codes) // _SAMPLE)])
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    axes: NDArray[np.float32] = directions[:, ::-1][:, :count].astype(np.float32)
    return axes
