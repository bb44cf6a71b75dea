"""The dense index against exact search in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import index, loose
from build_tools.errors import BuildError
from build_tools.index import exact_search, global_scale, recall_at_10
from build_tools.recipe import IndexSpec
from edge_runtime import usearch_index
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.ranking import Ranking
from edge_runtime.vectors import Vectors


def units(count: int, ndim: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(count, ndim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def nothing(_: int) -> None:
    """Reports to nobody."""


def ranking(rows: list[int]) -> Ranking:
    """A ranking whose scores do not matter."""
    return Ranking(np.array(rows, np.int64), np.zeros(len(rows), np.float32))


@pytest.mark.parametrize("count", [1, 7, 500])
def test_exact_search_is_numpys(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the block size."""
    monkeypatch.setattr(index, "BLOCK", 64)
    vectors, queries = units(count), units(5, seed=1)
    rows, scores = exact_search(vectors, queries, 10)
    full = queries @ vectors.T
    order = np.argsort(-full, axis=1)[:, :10]
    assert rows.tolist() == order.tolist()
    assert scores == pytest.approx(np.take_along_axis(full, order, axis=1))


def test_equal_scores_keep_row_order() -> None:
    """So that the teacher's ranking of repeated texts is the same each time."""
    vectors = np.repeat(units(3), 4, axis=0)
    rows, _ = exact_search(vectors, vectors[:1], 4)
    assert rows.tolist() == [[0, 1, 2, 3]]


def test_recall_counts_the_exact_ten() -> None:
    """All of them, some, or none."""
    vectors, queries = units(100), units(3, seed=1)
    exact, _ = exact_search(vectors, queries, 100)
    answers = {query.tobytes(): row for query, row in zip(queries, exact, strict=True)}

    def recall(first: int) -> float:
        return recall_at_10(
            vectors, queries, lambda q, k: ranking(answers[q.tobytes()][first : first + k].tolist())
        )

    assert recall(0) == 1
    assert recall(4) == pytest.approx(0.6)
    assert recall(50) == 0


def test_recall_takes_equals_for_each_other() -> None:
    """A text that occurs thirty times: any ten of its passages are right."""
    vectors = np.concatenate([np.repeat(units(1), 30, axis=0), units(50, seed=2)])
    assert recall_at_10(vectors, vectors[:1], lambda _, k: ranking(list(range(20, 20 + k)))) == 1
    assert recall_at_10(vectors, vectors[:1], lambda _, k: ranking(list(range(30, 30 + k)))) == 0


def test_recall_of_few_passages_and_few_answers() -> None:
    """Fewer than ten passages are all wanted; what is not answered is not found."""
    vectors, queries = units(4), units(2, seed=1)
    assert recall_at_10(vectors, queries, lambda _, k: ranking(list(range(k)))) == 1
    assert recall_at_10(vectors, queries, lambda _, k: ranking([0])) == 0.25


def test_global_scale() -> None:
    """The .9999 quantile becomes 127, so that no component but outliers is clipped."""
    vectors = units(2000)
    scale = global_scale(vectors)
    clipped = (np.abs(vectors) * scale > 127.5).mean()
    assert 0 < clipped <= 2e-4
    assert np.abs(quantize(vectors, scale)).max() == 127
    assert global_scale(np.zeros((3, 4), np.float32)) == 127


@pytest.mark.parametrize(
    ("recipe", "search"),
    [
        (IndexSpec(exact_below=1000), "exact"),
        (IndexSpec(exact_below=300), "exact"),
        (IndexSpec(exact_below=299), "hnsw"),
        (IndexSpec(exact_below=299, memory_mb=0), "pq"),
        (IndexSpec(strategy="two-stage"), "two-stage"),
    ],
)
def test_written_index(tmp_path: Path, recipe: IndexSpec, search: str) -> None:
    """The files answer as the manifest's entry says."""
    vectors = units(300)
    told: list[int] = []
    spec = index.write(vectors, tmp_path, spec=recipe, advance=told.append)
    assert (spec.search, spec.count, spec.ndim, spec.metric, spec.dtype) == (search, 300, 24, "cos", "i8")
    assert sum(told) == 300
    bundle = loose.bundle(tmp_path)
    dense = DenseIndex.open(bundle, spec)
    assert recall_at_10(vectors, units(20, seed=3), dense.search) > 0.95
    rows = np.array([299, 0, 17])
    assert np.array_equal(dense.vectors(rows), quantize(vectors[rows], spec.scale))
    dense.close()
    bundle.close()


@pytest.mark.parametrize("strategy", ["exact", "hnsw", "two-stage", "pq"])
def test_the_same_vectors_give_the_same_bytes(tmp_path: Path, strategy: Any) -> None:
    """The graph included, or the codes."""
    recipe = IndexSpec(strategy=strategy)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        spec = index.write(units(3000), folder, spec=recipe, advance=nothing)
    for path in spec.members:
        assert (folders[0] / path).read_bytes() == (folders[1] / path).read_bytes()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """usearch's error becomes one of ours."""
    with pytest.raises(BuildError, match=r"dense\.usearch: cannot be written"):
        index.write(units(3), tmp_path / "no", spec=IndexSpec(), advance=nothing)


@pytest.mark.parametrize(
    ("count", "ndim", "memory_mb", "chosen"),
    [
        (30_000, 384, 0, "exact"),
        (30_001, 384, 128, "hnsw"),
        (100_000, 384, 53, "hnsw"),
        (100_000, 384, 52, "pq"),
        (1_000_000, 384, 128, "pq"),
        (1_000_000, 64, 256, "hnsw"),
    ],
)
def test_the_strategy_goes_by_size_and_memory(count: int, ndim: int, memory_mb: int, chosen: str) -> None:
    """A graph is walked all over, so all of it has to fit."""
    assert index.strategy(IndexSpec(memory_mb=memory_mb), count, ndim) == chosen
    assert index.strategy(IndexSpec(strategy="exact", memory_mb=memory_mb), count, ndim) == "exact"


def test_the_graphs_size_is_foretold(tmp_path: Path) -> None:
    """Within a tenth of the file's."""
    index.write(units(4000), tmp_path, spec=IndexSpec(strategy="hnsw"), advance=nothing)
    size = (tmp_path / "dense/graph.usearch").stat().st_size
    edge = next(
        memory
        for memory in range(1, 10**6)
        if index.strategy(IndexSpec(exact_below=0, memory_mb=memory), 4000 * 1000, 24) == "hnsw"
    )
    assert size * 1000 / 1e6 == pytest.approx(edge, rel=0.1)


def test_an_exact_index_has_few_edges(tmp_path: Path) -> None:
    """They lead to its vectors all the same, so that no table of keys is made of it."""
    vectors = units(2000)
    spec = index.write(vectors, tmp_path, spec=IndexSpec(), advance=nothing)
    view = memoryview((tmp_path / spec.path).read_bytes())
    opened = usearch_index.viewed(view)
    assert opened.connectivity == 4
    assert Vectors.of(view, opened, lambda: pytest.fail("made a table of keys")).matrix is not None
