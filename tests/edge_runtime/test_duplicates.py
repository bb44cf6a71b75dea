"""Near-duplicates, against a comparison of every passage with every other."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import edge_runtime
from edge_runtime import Duplicate, QueryError, Retriever, duplicates
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
from edge_runtime.manifest import FileEntry, IndexSpec

NDIM = 8

Pairs = dict[tuple[int, int], float]


@pytest.fixture(scope="module")
def retriever(bundle: Path) -> Iterator[Retriever]:
    with edge_runtime.open(bundle) as opened:
        yield opened


def index_of(vectors: NDArray[np.int8], folder: Path, *, search: Any) -> DenseIndex:
    """An index of these vectors, as a bundle has it."""
    from usearch.index import Index

    index: Any = Index(ndim=NDIM, dtype="i8", metric="cos")
    index.add(np.arange(len(vectors)), vectors, threads=1)
    index.save(str(folder / "dense.usearch"))
    size = (folder / "dense.usearch").stat().st_size
    manifest: Any = SimpleNamespace(entry=lambda path: FileEntry(path, size, "0" * 64))
    spec = IndexSpec(
        path="dense.usearch", search=search, metric="cos", dtype="i8", ndim=NDIM, count=len(vectors),
        scale=100.0, expansion=64, writer={},
    )  # fmt: skip
    return DenseIndex.open(Bundle(folder, manifest), spec)


def brute_force(vectors: NDArray[np.int8], owners: NDArray[np.int32], threshold: float) -> Pairs:
    """The best cosine of every two documents that reach the threshold, by the definition of a cosine."""
    best: Pairs = {}
    for i, j in itertools.permutations(range(len(vectors)), 2):
        a, b = vectors[i].astype(int), vectors[j].astype(int)
        lengths = float(a @ a) * float(b @ b)
        cosine = float(a @ b) / np.sqrt(lengths) if lengths else 0.0
        if owners[i] < owners[j] and cosine >= threshold:
            pair = (int(owners[i]), int(owners[j]))
            best[pair] = max(best.get(pair, 0.0), cosine)
    return best


@st.composite
def corpora(draw: st.DrawFn) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Vectors around a few centres, some of them equal, some zero, of documents in any order."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, spread = draw(st.integers(1, 40)), draw(st.sampled_from([0, 3, 20]))
    centres = chance.integers(-100, 101, (draw(st.integers(1, 5)), NDIM))
    near = chance.integers(-spread, spread + 1, (count, NDIM))
    vectors = centres[chance.integers(0, len(centres), count)] + near
    vectors[chance.random(count) < 0.05] = 0
    return np.clip(vectors, -127, 127).astype(np.int8), chance.integers(0, 12, count).astype(np.int32)


@settings(max_examples=80)
@given(corpora(), st.sampled_from([0.3, 0.9, 0.95, 0.99, 1.0]), st.sampled_from([2, 5, 1024]))
def test_as_a_comparison_of_all(
    corpus: tuple[NDArray[np.int8], NDArray[np.int32]], threshold: float, tile: int
) -> None:
    """Every pair of documents once, under its highest cosine, whatever the size of the tiles; in a graph of
    so few that it misses none, too.
    """
    vectors, owners = corpus
    expected = brute_force(vectors, owners, threshold)
    for search in ("exact", "hnsw"):
        with (
            TemporaryDirectory() as folder,
            closing(index_of(vectors, Path(folder), search=search)) as dense,
            patch.object(duplicates, "_TILE", tile),
            patch.object(duplicates, "_NEIGHBOURS", 2),
        ):
            found = duplicates._Corpus(dense, owners, NDIM)
            total = found.cells() if search == "exact" else len(vectors)
            steps = list(found.by_tiles(threshold) if search == "exact" else found.by_neighbours(threshold))
        pairs = [
            ((int(owners[left]), int(owners[right])), score)
            for step in steps
            for left, right, score in zip(step.pairs.left, step.pairs.right, step.pairs.scores, strict=True)
        ]
        assert len(pairs) == len(dict(pairs))
        assert dict(pairs) == pytest.approx(expected, abs=1e-12)
        assert steps[-1].done == total
        assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_equal_vectors_have_a_cosine_of_one() -> None:
    """To the last digit, in many dimensions too, so that a threshold of 1 finds them."""
    vectors = np.random.default_rng(3).integers(-127, 128, (50, 1536))
    exact = duplicates._cosines(*(np.einsum("ij,ij->i", vectors, vectors),) * 3)
    assert exact.tolist() == [1.0] * 50


def test_pairs_of_the_bundle(retriever: Retriever) -> None:
    """With the keys, places and texts of two different documents."""
    found = list(retriever.duplicates(0.9))
    assert found
    for pair in found:
        assert pair.first.key != pair.second.key
        assert 0.9 <= pair.score <= 1
        assert pair.first.text
        assert pair.second.title
    keys = [frozenset((pair.first.key, pair.second.key)) for pair in found]
    assert len(keys) == len(set(keys))
    assert set(retriever.duplicates(0.97)) == {pair for pair in found if pair.score >= 0.97}
    with pytest.raises(FrozenInstanceError):
        found[0].score = 1  # type: ignore[misc]


def test_a_hit_of_similar_is_the_pair(retriever: Retriever) -> None:
    """Both ways of asking for the most alike agree."""
    best: Duplicate = max(retriever.duplicates(0.5), key=lambda pair: pair.score)
    hit = retriever.similar(best.first.key, k=1)[0]
    assert hit.score == pytest.approx(best.score, abs=1e-5)


def test_progress(retriever: Retriever) -> None:
    """Rises to the whole."""
    seen: list[tuple[int, int]] = []
    list(retriever.duplicates(1.0, progress=lambda done, total: seen.append((done, total))))
    assert seen
    assert seen[-1][0] == seen[-1][1]


def test_an_iterator_that_is_left_holds_nothing_up(bundle: Path) -> None:
    """Closing waits for calls, not for whoever looks at a pair."""
    opened = edge_runtime.open(bundle)
    pairs = opened.duplicates(0.5)
    assert next(pairs)
    assert opened.search("dough")
    opened.close()


@pytest.mark.parametrize(
    "threshold", [0, -0.5, 1.0001, 10**400, float("nan"), float("inf"), True, "0.9", None, [0.9], 1j]
)
def test_other_thresholds(retriever: Retriever, threshold: Any) -> None:
    """Refused by the call, not by the first look at what it gives."""
    with pytest.raises(QueryError, match="threshold: expected a number above 0 and up to 1; found "):
        retriever.duplicates(threshold)


@pytest.mark.parametrize("threshold", [1, np.float32(0.9), np.float64(0.9)])
def test_numbers_of_numpy(retriever: Retriever, threshold: Any) -> None:
    """Count."""
    assert list(retriever.duplicates(threshold)) == list(retriever.duplicates(float(threshold)))


def test_graph_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    """Finds the same pairs where it is small."""
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    manifest = manifests.read(copy / manifests.FILENAME)
    changed = replace(manifest, index=replace(manifest.index, search="hnsw"))
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    with edge_runtime.open(bundle) as one, edge_runtime.open(copy) as two:
        expected = {(pair.first.key, pair.second.key): pair.score for pair in one.duplicates(0.8)}
        found = {(pair.first.key, pair.second.key): pair.score for pair in two.duplicates(0.8)}
        assert found == expected
