"""Indexes in an order of their own: graphs of all or of the principal dimensions, and product codes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from build_tools import graph, loose, product_codes, recipe, two_stage
from edge_runtime.allowed import Allowed
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.manifest import IndexSpec

N, NDIM, SCALE = 3000, 96, 300.0


def units(n: int, seed: int) -> NDArray[np.float32]:
    """Around forty centres, not near them."""
    centres = np.random.default_rng(77).standard_normal((40, NDIM))
    chance = np.random.default_rng(seed)
    vectors = centres[chance.integers(0, 40, n)] + 0.8 * chance.standard_normal((n, NDIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


STORED = quantize(units(N, seed=0), SCALE)
LENGTHS = np.linalg.norm(STORED.astype(np.float64), axis=1)
HNSW = IndexSpec(
    path="hnsw",
    search="hnsw",
    metric="cos",
    dtype="i8",
    ndim=NDIM,
    count=N,
    scale=SCALE,
    expansion=100,
    writer={"usearch": "2.26.1"},
)
TWO_STAGE = replace(HNSW, path="two-stage", search="two-stage")
PQ = replace(HNSW, path="pq", search="pq", writer={"faiss": "1.15.1"})
EXACT = replace(HNSW, search="exact")
EACH = pytest.mark.parametrize("spec", [HNSW, TWO_STAGE, PQ], ids=lambda spec: spec.search)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files of three indexes of `STORED`."""
    made, wanted = tmp_path_factory.mktemp("indexes"), recipe.IndexSpec(expansion_add=64)
    graph.write_in_order(STORED, made / "hnsw", spec=wanted, advance=lambda _: None)
    two_stage.write(STORED, made / "two-stage", spec=wanted, advance=lambda _: None)
    product_codes.write(STORED, made / "pq", code_bytes=16, advance=lambda _: None)
    return made


@pytest.fixture
def opened(folder: Path) -> Iterator[Any]:
    """Opens the index, as often as a test likes, under any entry of a manifest."""
    bundle = loose.bundle(folder)
    indexes: list[DenseIndex] = []

    def open_as(spec: IndexSpec) -> DenseIndex:
        indexes.append(DenseIndex.open(bundle, spec))
        return indexes[-1]

    yield open_as
    for index in indexes:
        index.close()
    bundle.close()


def cosines(query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of a query, as it is stored, to every vector."""
    asked = quantize(query, SCALE).astype(np.float64)
    return STORED @ asked / LENGTHS / np.linalg.norm(asked)


@pytest.mark.parametrize(
    "spec",
    [EXACT, replace(TWO_STAGE, expansion=N), replace(PQ, expansion=N)],
    ids=lambda spec: spec.search,
)
def test_comparing_all_is_exact_search(opened: Any, spec: IndexSpec) -> None:
    """Rows and scores are those that NumPy finds."""
    index = opened(spec)
    for query in units(20, seed=1):
        expected = cosines(query)
        found = index.search(query, 10)
        assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)
        assert found.scores == pytest.approx(np.sort(expected)[::-1][:10], abs=1e-5)
        assert expected[found.rows] == pytest.approx(found.scores, abs=1e-5)
        assert len(set(found.rows.tolist())) == 10


def recall(index: DenseIndex) -> float:
    """Of the ten nearest of fifty queries."""
    hits = 0
    for query in units(50, seed=2):
        found = index.search(query, 10)
        hits += int((cosines(query)[found.rows] >= np.sort(cosines(query))[-10] - 1e-6).sum())
    return hits / 500


def test_a_third_of_the_dimensions_finds_the_candidates(opened: Any) -> None:
    """The more are compared, the more is found; of a tenth next to all."""
    found = [recall(opened(replace(TWO_STAGE, expansion=most))) for most in (10, 30, 100, 300)]
    assert found == sorted(found)
    assert found[0] < 0.9 < 0.98 <= found[3]


def test_product_codes_find_the_candidates(opened: Any) -> None:
    """The more are compared, the more is found; of a thirtieth next to all."""
    found = [recall(opened(replace(PQ, expansion=most))) for most in (10, 30, 100, 300)]
    assert found == sorted(found)
    assert found[0] < 0.9 < 0.98 <= found[2]


def test_a_graph_of_all_dimensions_finds_them_too(opened: Any) -> None:
    """As one in the order of the rows would."""
    assert recall(opened(HNSW)) >= 0.98


@EACH
@pytest.mark.parametrize("count", [N, N + 1, 10**9, 2**64])
def test_more_than_there_are_gives_all(opened: Any, spec: IndexSpec, count: int) -> None:
    """However far a search looks otherwise."""
    found = opened(replace(spec, expansion=1)).search(units(1, seed=3)[0], count)
    assert sorted(found.rows.tolist()) == list(range(N))
    assert np.all(np.diff(found.scores) <= 1e-6)


def only(mask: NDArray[np.bool_]) -> Allowed:
    """A document a passage."""
    return Allowed(mask, int(mask.sum()), int(mask.sum()))


SHARES = st.sampled_from([0.0, 0.001, 0.02, 0.2, 0.5, 0.9, 1.0])


@EACH
@given(SHARES, st.integers(1, 300), st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=80)
def test_the_nearest_of_the_allowed(
    folder: Path, spec: IndexSpec, share: float, count: int, seed: int, far: bool
) -> None:
    """As many as there are, each allowed and with its own cosine; of few the nearest themselves."""
    query = units(1, seed)[0]
    scores = cosines(query)
    mask = np.random.default_rng(seed).random(N) < share
    if far:  # nothing allowed is among the nearest half
        mask &= scores < np.median(scores)
    expected = np.sort(scores[mask])[::-1][:count]
    bundle = loose.bundle(folder)
    index = DenseIndex.open(bundle, spec)
    found = index.search(query, count, allowed=only(mask))
    index.close()
    bundle.close()
    assert len(set(found.rows.tolist())) == len(found) == len(expected)
    assert mask[found.rows].all()
    assert scores[found.rows] == pytest.approx(found.scores, abs=1e-5)
    if mask.sum() < 100:
        assert found.scores == pytest.approx(expected, abs=1e-5)


@EACH
def test_stored_vectors(opened: Any, spec: IndexSpec) -> None:
    """By row, wherever they lie; a search for one finds it first."""
    index, rows = opened(spec), np.array([7, 0, N - 1, 7])
    found = index.vectors(rows)
    assert np.array_equal(found, STORED[rows])
    assert [int(index.search(vector, 1).rows[0]) for vector in found] == rows.tolist()


@EACH
def test_threads_get_what_one_caller_gets(opened: Any, spec: IndexSpec) -> None:
    """And giving pages back meanwhile changes nothing."""
    index, queries = opened(spec), units(200, seed=4)
    expected = [index.search(query, 20).rows.tolist() for query in queries]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda query: index.search(query, 20).rows.tolist(), queries)) == expected


@EACH
def test_a_closed_index_answers_no_more(opened: Any, spec: IndexSpec) -> None:
    """Closing twice is harmless."""
    index = opened(spec)
    index.close()
    index.close()
    with pytest.raises(ClosedError, match="closed; open the bundle again"):
        index.search(units(1, seed=1)[0], 1)


@pytest.mark.parametrize("spec", [TWO_STAGE, PQ], ids=lambda spec: spec.search)
def test_a_query_of_no_length(opened: Any, spec: IndexSpec) -> None:
    """Is like nothing, and no error."""
    assert opened(spec).search(np.zeros(NDIM, np.float32), 5).scores.tolist() == [0] * 5


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("axes", lambda a: a[:-1], r"axes.npy: expected float32 of shape \(96, n\); found float32"),
        ("axes", lambda a: a[:, :0], r"axes.npy: expected float32 of shape \(96, n\)"),
        ("axes", lambda a: a.astype(np.float64), "axes.npy: expected float32 of shape .*; found float64"),
        (
            "axes",
            lambda a: a[:, :-1],
            "graph.usearch: holds 3000 vectors of 32 dimensions.* of 31 dimensions",
        ),
        ("rows", lambda a: a.astype(np.int64), "rows.npy: expected int32 of shape .*; found int64"),
        ("places", lambda a: a[:-1], "places.npy: expected int32 of shape"),
        ("vectors", lambda a: a.view(np.uint8), "vectors.npy: expected int8 of shape"),
    ],
)
def test_files_that_contradict_the_manifest(
    folder: Path, tmp_path: Path, name: str, change: Any, message: str
) -> None:
    """Should somebody hash them anew."""
    shutil.copytree(folder / "two-stage", tmp_path / "two-stage")
    path = tmp_path / "two-stage" / f"{name}.npy"
    np.save(path, np.ascontiguousarray(change(np.load(path))))
    bundle = loose.bundle(tmp_path)
    with pytest.raises((BundleError, CompatibilityError), match=message):
        DenseIndex.open(bundle, TWO_STAGE)
    bundle.close()


@EACH
@pytest.mark.parametrize("wrong", [N, -1])
def test_rows_and_places_beyond_the_index(folder: Path, tmp_path: Path, spec: IndexSpec, wrong: int) -> None:
    """Are found when they are met: they index no array."""
    shutil.copytree(folder / spec.path, tmp_path / spec.path)
    for name in ("rows", "places"):
        path = tmp_path / spec.path / f"{name}.npy"
        np.save(path, np.full_like(np.load(path), wrong))
    bundle = loose.bundle(tmp_path)
    index = DenseIndex.open(bundle, spec)
    with pytest.raises(BundleError, match=r"rows\.npy: names one beyond the 3000 of the index"):
        index.search(units(1, seed=1)[0], 5)
    with pytest.raises(BundleError, match=r"places\.npy: names one beyond the 3000 of the index"):
        index.vectors(np.array([3]))
    index.close()
    bundle.close()


def test_keys_beyond_the_index(folder: Path, tmp_path: Path) -> None:
    """A graph of as many vectors under other keys."""
    from usearch.index import Index

    shutil.copytree(folder / "two-stage", tmp_path / "two-stage")
    path = tmp_path / "two-stage/graph.usearch"
    graph_there: Any = Index.restore(str(path))
    vectors = np.stack(graph_there.get(np.arange(N, dtype=np.uint64)))
    other: Any = Index(ndim=32, metric="cos", dtype="i8")
    other.add(np.arange(N, 2 * N, dtype=np.uint64), vectors)
    other.save(str(path))
    bundle = loose.bundle(tmp_path)
    index = DenseIndex.open(bundle, TWO_STAGE)
    with pytest.raises(BundleError, match=r"graph\.usearch: has a key beyond 3000 places; rebuild"):
        index.search(units(1, seed=1)[0], 5)
    index.close()
    bundle.close()
