"""What the shipped index finds when a search looks less or more far, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from build_tools.index import TIE, recall_at_10
from build_tools.report.data import IndexRecall, RecallPoint
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking

EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Expansions tried besides the bundle's own; an index of fewer takes no more than it has."""

Search = Callable[[NDArray[np.float32], int], Ranking]
Recall = Callable[[Search], float]


def measure(bundle: Bundle, queries: NDArray[np.float32], vectors: NDArray[np.float32] | None) -> IndexRecall:
    """Searches the dense index with query vectors (n, ndim), at several efforts and exactly.

    A usearch file's graph is searched even where the bundle searches exactly: every such file has one.

    Args:
        vectors: float32 document vectors (passages, ndim), by which recall is reckoned; without them, the
            index searched exactly counts as right.
    """
    spec = bundle.manifest.index
    recall = _to_float32(vectors, queries) if vectors is not None else _to_int8(bundle, queries)
    shipped, most = spec.expansion, spec.count
    tried = sorted({min(effort, most) for effort in (*EFFORTS, shipped)})
    return IndexRecall(
        against="int8" if vectors is None else "float32",
        texts=len(queries),
        points=tuple(_point(bundle, effort, recall) for effort in tried),
        exact=_point(bundle, None, recall),
        shipped=min(shipped, most),
        search=spec.search,
    )


def _point(bundle: Bundle, effort: int | None, recall: Recall) -> RecallPoint:
    dense = DenseIndex.open(bundle, _searching(bundle.manifest.index, effort))
    nanoseconds: list[int] = []

    def search(vector: NDArray[np.float32], count: int) -> Ranking:
        began = time.perf_counter_ns()
        ranking = dense.search(vector, count)
        nanoseconds.append(time.perf_counter_ns() - began)
        return ranking

    try:
        return RecallPoint(effort, round(recall(search), 4), round(median(nanoseconds) / 1e6, 4))
    finally:
        dense.close()


def _searching(spec: IndexSpec, effort: int | None) -> IndexSpec:
    """The same index, searched with this effort, or exactly."""
    if spec.search in ("two-stage", "pq"):
        return replace(spec, expansion=effort or spec.count)
    if effort is None:
        return replace(spec, search="exact")
    return replace(spec, search="hnsw", expansion=effort)


def _to_float32(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> Recall:
    return lambda search: recall_at_10(vectors, queries, search)


def _to_int8(bundle: Bundle, queries: NDArray[np.float32]) -> Recall:
    """Recall against exact search of the index itself; equal scores are interchangeable here as well."""
    dense = DenseIndex.open(bundle, _searching(bundle.manifest.index, None))
    right = [dense.search(query, 10).scores for query in queries]
    dense.close()

    def recall(search: Search) -> float:
        found = 0
        for query, scores in zip(queries, right, strict=True):
            found += int((search(query, len(scores)).scores >= scores[-1] - TIE).sum())
        return found / sum(map(len, right))

    return recall
