"""How far a search of the dense index looks: as little as finds what is asked for, by held-out queries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build_tools import loose, recipe
from build_tools.index import Recall, exact_search, shape
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.manifest import IndexSpec
from edge_runtime.ranking import Ranking

QUERIES = 200
"""Asked at most, of those that are held out."""

_BELOW_EXACT = 0.001
"""What may be lost against exact search of the int8 vectors, where that alone misses the recall asked for."""

_GRAPH = (32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)

_COMPARED = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""How many passages are compared by all of their components, where codes choose them."""


def needed(spec: IndexSpec, wanted: recipe.IndexSpec) -> bool:
    """Whether the recipe leaves open how far a search of this index looks."""
    given = wanted.probes if spec.search == "ivf" else wanted.expansion_search
    return spec.search != "exact" and given is None


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
    """The manifest's entry with the smallest expansion, or the fewest cells, that reach `recall`.

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
    exact = _of_exact_int8(measure, spec.scale)
    target = min(recall, exact - _BELOW_EXACT)

    def reached(tried: IndexSpec) -> float:
        found = _recall(tried, directory, measure)
        advance(len(measure.queries))
        return found

    if spec.search == "ivf" and wanted.expansion_search is None:
        everywhere = [
            replace(spec, expansion=expansion, probes=shape(spec, directory)[1]) for expansion in _COMPARED
        ]
        # The codes may lose half of what may be lost, the cells that are left out the other half.
        compared = _first(everywhere, lambda tried: reached(tried) >= (exact + target) / 2)
        spec = replace(spec, expansion=compared.expansion)
    return _first(_tries(spec, directory), lambda tried: reached(tried) >= target)


def _first(tries: Sequence[IndexSpec], is_enough: Callable[[IndexSpec], bool]) -> IndexSpec:
    """The first that is enough, where all after it are; the last where none is."""
    return tries[min(bisect_left(tries, True, key=is_enough), len(tries) - 1)]


def _tries(spec: IndexSpec, directory: Path) -> list[IndexSpec]:
    """From the cheapest on."""
    if spec.search in ("hnsw", "two-stage"):
        return [replace(spec, expansion=expansion) for expansion in _GRAPH]
    cells, probes = shape(spec, directory)[1], [1]
    while probes[-1] < cells:
        probes.append(min(cells, probes[-1] + max(1, probes[-1] // 4)))
    return [replace(spec, probes=each) for each in probes]


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
