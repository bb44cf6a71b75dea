"""Writes HNSW graphs by usearch: over vectors as they come, or in an order of their own.

Where alike vectors lie next to each other a graph is made in two thirds of the time and finds no less, and a
search of 100,000 sentences touches less than half of the pages, warm in about two thirds of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from build_tools import clusters, places
from build_tools.errors import BuildError
from build_tools.recipe import IndexSpec


def write(
    blocks: Iterable[NDArray[np.int8]], path: Path, *, spec: IndexSpec, advance: Callable[[int], object]
) -> None:
    """Writes vectors into a usearch file, each under its number.

    The same vectors give the same bytes.

    Args:
        blocks: int8 (some, ndim); the first of them tells the dimensions.
        advance: told how many more vectors are in.

    Raises:
        BuildError: the file cannot be written.
    """
    index: Index | None = None
    for block in blocks:
        if index is None:
            index = Index(
                ndim=block.shape[1],
                metric="cos",
                dtype="i8",
                connectivity=spec.connectivity,
                expansion_add=spec.expansion_add,
            )
        count = len(index)
        # One thread: with more, the graph would differ from run to run.
        index.add(np.arange(count, count + len(block), dtype=np.uint64), block, threads=1)
        advance(len(block))
    assert index is not None  # a corpus has a passage
    try:
        index.save(str(path))
    except RuntimeError as error:  # usearch's only kind
        raise BuildError(f"{path}: cannot be written ({error})") from None


def write_in_order(
    codes: NDArray[np.int8], folder: Path, *, spec: IndexSpec, advance: Callable[[int], object]
) -> None:
    """Writes `edge_runtime.manifest.GRAPH_FILES` for vectors int8 (count, ndim). Raises as `write`."""
    rows = clusters.neighbourly(codes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places.write(rows, folder)
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None
    ordered = (codes[rows[start : start + clusters.BLOCK]] for start in range(0, len(rows), clusters.BLOCK))
    write(ordered, folder / "graph.usearch", spec=spec, advance=advance)
