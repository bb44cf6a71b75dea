"""Document vectors to the dense index, and what the index loses against exact float32 search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from build_tools import graph, product_codes, recipe, two_stage
from edge_runtime import manifest
from edge_runtime.dense import quantize
from edge_runtime.faiss_library import faiss
from edge_runtime.ranking import Ranking

FILENAME = "dense.usearch"
FOLDER = "dense"
"""Of an index that is several files."""

_EXPANSION = {"exact": 96, "hnsw": 96, "two-stage": 128, "pq": 64}
"""Where neither the recipe nor held-out queries say."""

BLOCK = 8192
TIE = 1e-6
"""Passages whose exact scores differ by less than this are interchangeable (many texts occur twice)."""

_GRAPH_BYTES_AN_EDGE = 9  # 5 each way, and some for levels and keys: 533 bytes a vector of 384 dimensions


def write(
    vectors: NDArray[np.float32],
    directory: Path,
    *,
    spec: recipe.IndexSpec,
    advance: Callable[[int], None],
) -> manifest.IndexSpec:
    """Writes vectors as int8 under one global scale, to the files of an index in `directory`.

    Args:
        vectors: float32 (n, ndim), of unit length; may be a mapped file.
        advance: told how many more vectors are in.

    Returns:
        The manifest's entry, its path relative to `directory`. How far a search looks is the recipe's, or
        where that leaves it open a starting point for `tuning`.

    Raises:
        BuildError: a file cannot be written.
    """
    scale = global_scale(vectors)
    starts = range(0, len(vectors), BLOCK)
    codes = (quantize(np.asarray(vectors[start : start + BLOCK]), scale) for start in starts)
    count, ndim = vectors.shape
    return write_codes(codes, directory, count=count, ndim=ndim, scale=scale, spec=spec, advance=advance)


def write_codes(
    blocks: Iterable[NDArray[np.int8]],
    directory: Path,
    *,
    count: int,
    ndim: int,
    scale: float,
    spec: recipe.IndexSpec,
    advance: Callable[[int], None],
) -> manifest.IndexSpec:
    """Writes vectors that are int8 under `scale` already, as `write` does.

    Args:
        blocks: int8 (some, ndim), in the order of the rows, `count` in all.
    """
    search = strategy(spec, count, ndim)
    if search == "pq":
        size = min(spec.code_bytes or product_codes.default_bytes(ndim), ndim)
        codes = _joined(blocks, count, ndim)
        product_codes.write(codes, directory / FOLDER, code_bytes=size, advance=advance)
    elif search == "exact":
        # Its edges are only walked to prove the order of the vectors (see `edge_runtime.vectors`).
        few = replace(spec, connectivity=4, expansion_add=16)
        graph.write(blocks, directory / FILENAME, spec=few, advance=advance)
    else:
        kind = graph.write_in_order if search == "hnsw" else two_stage.write
        kind(_joined(blocks, count, ndim), directory / FOLDER, spec=spec, advance=advance)
    return manifest.IndexSpec(
        path=FILENAME if search == "exact" else FOLDER,
        search=search,
        metric="cos",
        dtype="i8",
        ndim=ndim,
        count=count,
        scale=scale,
        expansion=spec.expansion_search or _EXPANSION[search],
        writer=writer(search),
    )


def strategy(spec: recipe.IndexSpec, count: int, ndim: int) -> Literal["exact", "hnsw", "two-stage", "pq"]:
    """How so many vectors are searched, where the recipe leaves it open: by what has to be in memory."""
    if spec.strategy != "auto":
        return spec.strategy
    if count <= spec.exact_below:
        return "exact"
    graph = count * (ndim + _GRAPH_BYTES_AN_EDGE * spec.connectivity)
    return "hnsw" if graph <= spec.memory_mb * 1e6 else "pq"


def writer(search: str) -> dict[str, str]:
    """The library that writes such an index, with its version.

    Raises:
        CompatibilityError: it is faiss, and not installed.
    """
    return {"faiss": str(faiss().__version__)} if search == "pq" else {"usearch": version("usearch")}


def shape(spec: manifest.IndexSpec, directory: Path) -> tuple[str, int]:
    """How an index in `directory` is searched, and how many axes it has, or parts a code."""
    folder = directory / spec.path
    if spec.search == "two-stage":
        return spec.search, np.load(folder / "axes.npy", mmap_mode="r").shape[1]
    if spec.search == "pq":
        return spec.search, product_codes.parts(folder)
    return spec.search, 0


def _joined(blocks: Iterable[NDArray[np.int8]], count: int, ndim: int) -> NDArray[np.int8]:
    codes, start = np.empty((count, ndim), np.int8), 0
    for block in blocks:
        codes[start : start + len(block)] = block
        start += len(block)
    return codes


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


@dataclass(frozen=True, slots=True)
class Recall:
    """recall@10 by exact float32 search, which is done once for all that is asked.

    Attributes:
        vectors: float32 (n, ndim), of unit length.
        queries: float32 (queries, ndim).
        least: float32 (queries,), the tenth best cosine of each.
    """

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    least: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> Recall:
        """Searches exactly."""
        return cls(vectors, queries, exact_search(vectors, queries, 10)[1][:, -1])

    def __call__(self, search: Callable[[NDArray[np.float32], int], Ranking]) -> float:
        """Share of the exact ten nearest that `search` finds, over all queries."""
        wanted, found = min(10, len(self.vectors)), 0
        for query, least in zip(self.queries, self.least, strict=True):
            rows = search(query, wanted).rows
            found += int((np.asarray(self.vectors[np.sort(rows)]) @ query >= least - TIE).sum())
        return found / (wanted * len(self.queries))


def recall_at_10(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    search: Callable[[NDArray[np.float32], int], Ranking],
) -> float:
    """`Recall`, for one search."""
    return Recall.of(vectors, queries)(search)
