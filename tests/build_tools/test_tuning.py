"""How far a search looks, found out by held-out queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import index, loose, tuning
from build_tools.index import Recall
from build_tools.recipe import IndexSpec
from edge_runtime import manifest
from edge_runtime.dense import DenseIndex

NDIM = 24


def units(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Anywhere: the hardest case."""
    vectors = np.random.default_rng(seed).standard_normal((count, NDIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


VECTORS, QUERIES = units(4000), units(60, seed=1)


def written(folder: Path, **options: Any) -> tuple[manifest.IndexSpec, IndexSpec]:
    """An index, untuned, and its recipe."""
    recipe = IndexSpec(**options)
    return index.write(VECTORS, folder, spec=recipe, advance=lambda _: None), recipe


def recall(spec: manifest.IndexSpec, folder: Path) -> float:
    """What the index finds."""
    bundle = loose.bundle(folder)
    dense = DenseIndex.open(bundle, spec)
    found = Recall.of(VECTORS, QUERIES)(dense.search)
    dense.close()
    bundle.close()
    return found


def tune(
    spec: manifest.IndexSpec,
    folder: Path,
    queries: NDArray[np.float32],
    recipe: IndexSpec,
    asked: float,
    advance: Callable[[int], None] = lambda _: None,
) -> manifest.IndexSpec:
    """The entry with what reaches the recall asked for."""
    return tuning.tuned(spec, folder, VECTORS, queries, wanted=recipe, recall=asked, advance=advance)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "hnsw", "connectivity": 3},
        {"strategy": "two-stage", "axes": 24},
        {"strategy": "pq", "code_bytes": 4},
    ],
)
def test_the_least_effort_that_finds_what_is_asked_for(tmp_path: Path, options: Any) -> None:
    """More recall takes more; what was chosen reaches it."""
    spec, recipe = written(tmp_path, **options)
    efforts, told = [], list[int]()
    for asked in (0.3, 0.8, 0.97):
        tuned = tuning.tuned(
            spec, tmp_path, VECTORS, QUERIES, wanted=recipe, recall=asked, advance=told.append
        )
        efforts.append(tuned.expansion)
        assert recall(tuned, tmp_path) >= asked
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1]
    assert set(told) == {len(QUERIES)}


def test_recall_beyond_int8s(tmp_path: Path) -> None:
    """Next to what exact search of the int8 vectors finds is enough, or nothing would ever be."""
    spec, recipe = written(tmp_path, strategy="pq")
    tuned = tune(spec, tmp_path, QUERIES, recipe, 1.0)
    everything = tuning.replace(spec, expansion=4000)
    assert recall(everything, tmp_path) < 1
    assert recall(tuned, tmp_path) >= recall(everything, tmp_path) - 0.001


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "exact"},
        {"strategy": "hnsw", "expansion_search": 20},
        {"strategy": "pq", "expansion_search": 20},
    ],
)
def test_what_the_recipe_gives_stays(tmp_path: Path, options: Any) -> None:
    """And exact search has nothing to tune."""
    spec, recipe = written(tmp_path, **options)
    assert tune(spec, tmp_path, QUERIES, recipe, 1.0) == spec


def test_without_queries(tmp_path: Path) -> None:
    """The starting point stays."""
    spec, recipe = written(tmp_path, strategy="hnsw")
    assert tune(spec, tmp_path, QUERIES[:0], recipe, 1.0) == spec
