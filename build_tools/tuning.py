"""How far a search of the dense index looks: as little as finds what is asked for, by held-out queries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build_tools import loose, recipe
from build_tools.index import Recall, exact_search
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking

QUERIES = 200
"""Asked at most, of those that are held out."""

_BELOW_EXACT = 0.001
"""What may be lost against exact search of the int8 vectors, where that alone misses the recall asked for."""

_GRAPH = (32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)

_COMPARED = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Passages compared by all of their components, where codes choose them."""


def needed(spec: IndexSpec, wanted: recipe.IndexSpec) -> bool:
    """Whether the recipe leaves open how far a search of this index looks."""
    return spec.search != "exact" and wanted.expansion_search is None


def tuned(
    spec: IndexSpec,
    directory: Path,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    wanted: recipe.IndexSpec,
    recall: float,
    advance: Callable[[int], None],
) -> IndexSpec:
    """The manifest's entry with the smallest expansion that reaches `recall`.

    What the recipe gives stays. Where nothing reaches it, the most that was tried is taken; the gate tells.

    Args:
        directory: where the index lies.
        vectors: float32 (n, ndim), what it was made of.
        queries: float32 (q, ndim), of unit length.
        recall: recall@10 against exact float32 search, as the gate asks for it.
        advance: told how many more searches were made.
    """
    if not needed(spec, wanted) or not len(queries):
        return spec
    measure = Recall.of(vectors, queries[:QUERIES])
    target = min(recall, _of_exact_int8(measure, spec.scale) - _BELOW_EXACT)

    def reached(tried: IndexSpec) -> float:
        found = _recall(tried, directory, measure)
        advance(len(measure.queries))
        return found

    expansions = _COMPARED if spec.search == "pq" else _GRAPH
    tries = [replace(spec, expansion=expansion) for expansion in expansions]
    return tries[min(bisect_left(tries, True, key=lambda each: reached(each) >= target), len(tries) - 1)]


def _recall(spec: IndexSpec, directory: Path, measure: Recall) -> float:
    bundle = loose.bundle(directory)
    dense = DenseIndex.open(bundle, spec)
    try:
        return measure(dense.search)
    finally:
        dense.close()
        bundle.close()


class _Rounded:
    """Vectors as their int8 codes stand for them, of unit length again, made as they are read."""

    def __init__(self, vectors: NDArray[np.float32], scale: float) -> None:
        self._vectors, self._scale = vectors, scale

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, which: slice) -> NDArray[np.float32]:
        codes = quantize(np.asarray(self._vectors[which]), self._scale).astype(np.float32)
        units: NDArray[np.float32] = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1)
        return units


def _of_exact_int8(measure: Recall, scale: float) -> float:
    """What exact search of the int8 vectors finds."""
    asked = np.stack([quantize(query, scale) for query in measure.queries]).astype(np.float32)
    rounded: Any = _Rounded(measure.vectors, scale)
    best = iter(exact_search(rounded, asked, 10)[0])
    return measure(lambda query, count: Ranking(next(best), np.empty(0, np.float32)))
