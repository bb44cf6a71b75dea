"""Document vectors to the dense index, and what the index loses against exact float32 search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from build_tools import recipe
from build_tools.errors import BuildError
from edge_runtime import manifest
from edge_runtime.dense import quantize
from edge_runtime.ranking import Ranking

FILENAME = "dense.usearch"
BLOCK = 8192
TIE = 1e-6
"""Passages whose exact scores differ by less than this are interchangeable (many texts occur twice)."""


def write(
    vectors: NDArray[np.float32],
    path: Path,
    *,
    spec: recipe.IndexSpec,
    advance: Callable[[int], None],
) -> manifest.IndexSpec:
    """Writes vectors as int8 under one global scale, to a usearch file.

    Args:
        vectors: float32 (n, ndim), of unit length; may be a mapped file.
        advance: told how many more vectors are in.

    Raises:
        BuildError: the file cannot be written.
    """
    scale = global_scale(vectors)
    starts = range(0, len(vectors), BLOCK)
    codes = (quantize(np.asarray(vectors[start : start + BLOCK]), scale) for start in starts)
    return write_codes(codes, path, ndim=vectors.shape[1], scale=scale, spec=spec, advance=advance)


def write_codes(
    blocks: Iterable[NDArray[np.int8]],
    path: Path,
    *,
    ndim: int,
    scale: float,
    spec: recipe.IndexSpec,
    advance: Callable[[int], None],
) -> manifest.IndexSpec:
    """Writes vectors that are int8 under `scale` already, to a usearch file.

    One thread: with more, the graph would differ from run to run.

    Args:
        blocks: int8 (some, ndim), in the order of the rows.
        advance: told how many more vectors are in.

    Raises:
        BuildError: the file cannot be written.
    """
    index = Index(
        ndim=ndim,
        metric="cos",
        dtype="i8",
        connectivity=spec.connectivity,
        expansion_add=spec.expansion_add,
    )
    for block in blocks:
        count = len(index)
        index.add(np.arange(count, count + len(block), dtype=np.uint64), block, threads=1)
        advance(len(block))
    try:
        index.save(str(path))
    except RuntimeError as error:  # usearch's only kind
        raise BuildError(f"{path}: cannot be written ({error})") from None
    return manifest.IndexSpec(
        path=FILENAME,
        search="exact" if len(index) <= spec.exact_below else "hnsw",
        metric="cos",
        dtype="i8",
        ndim=ndim,
        count=len(index),
        scale=scale,
        expansion=spec.expansion_search,
        writer={"usearch": version("usearch")},
    )


def global_scale(vectors: NDArray[np.float32]) -> float:
    """The factor that takes the .9999 quantile of all components to 127; the rest is clipped.

    Taken from at most 20,000 rows, evenly spread.
    """
    step = max(1, len(vectors) // 20_000)
    largest = float(np.quantile(np.abs(np.asarray(vectors[::step])), 0.9999))
    return round(127 / largest, 4) if largest > 0 else 127.0


def exact_search(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and cosines, both (queries, count), of the nearest vectors by exact float32 search."""
    count = min(count, len(vectors))
    best_rows = np.empty((len(queries), 0), np.int64)
    best_scores = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(vectors), BLOCK):
        scores = queries @ np.asarray(vectors[start : start + BLOCK]).T
        rows = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        best_rows = np.concatenate([best_rows, rows], axis=1)
        best_scores = np.concatenate([best_scores, scores], axis=1)
        order = np.argsort(-best_scores, axis=1, kind="stable")[:, :count]
        best_rows = np.take_along_axis(best_rows, order, axis=1)
        best_scores = np.take_along_axis(best_scores, order, axis=1)
    return best_rows, best_scores


def recall_at_10(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    search: Callable[[NDArray[np.float32], int], Ranking],
) -> float:
    """Share of the exact ten nearest that `search` finds, over all queries."""
    _, exact_scores = exact_search(vectors, queries, 10)
    found = 0
    for query, scores in zip(queries, exact_scores, strict=True):
        rows = search(query, len(scores)).rows
        found += int((np.asarray(vectors[np.sort(rows)]) @ query >= scores[-1] - TIE).sum())
    return found / exact_scores.size
