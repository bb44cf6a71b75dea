"""Vectors to passages: quantization, both kinds of search, and what the file must hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from build_tools import loose
from edge_runtime import vector_index
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.manifest import IndexSpec

N, NDIM, SCALE = 400, 32, 260.0

unit_components = hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1, 1, width=32))
scales = st.floats(1, 5000)


@given(unit_components, scales)
@settings(deadline=None)
def test_quantizing_loses_half_a_step_at_most(vector: NDArray[np.float32], scale: float) -> None:
    """Within the range; outside it clips to ±127."""
    found = quantize(vector, scale)
    assert found.dtype == np.int8
    assert found.shape == vector.shape
    expected = np.clip(vector.astype(np.float64) * scale, -127, 127)
    assert np.all(np.abs(found - expected) <= 0.5 + 1e-4)


@given(unit_components, scales)
@settings(deadline=None)
def test_quantizing_is_odd(vector: NDArray[np.float32], scale: float) -> None:
    """A vector and its opposite stay opposites: no -128 that has no counterpart."""
    assert np.array_equal(quantize(-vector, scale), -quantize(vector, scale))


@given(unit_components, scales)
@settings(deadline=None)
def test_quantizing_keeps_order(vector: NDArray[np.float32], scale: float) -> None:
    """A larger component never becomes a smaller one."""
    assert np.all(np.diff(quantize(np.sort(vector), scale).astype(int)) >= 0)


def test_halves_go_to_even() -> None:
    """As the format says, so that a reader in another language gets the same bytes."""
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 1e9, -1e9], np.float32)
    assert quantize(halves, 1).tolist() == [0, 2, 2, 0, -2, 126, 127, 127, -127]


def units(n: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((n, NDIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(folder: Path, vectors: NDArray[np.int8], keys: Any = None, **changes: Any) -> Bundle:
    """A bundle, unverified, with an index of these vectors."""
    from usearch.index import Index

    options = {"ndim": vectors.shape[1], "dtype": "i8", "metric": "cos"} | changes
    index = Index(**options)
    index.add(np.arange(len(vectors)) if keys is None else np.array(keys, np.uint64), vectors, threads=1)
    index.save(str(folder / "dense.usearch"))
    return loose.bundle(folder)


SPEC = IndexSpec(
    path="dense.usearch",
    search="exact",
    metric="cos",
    dtype="i8",
    ndim=NDIM,
    count=N,
    scale=SCALE,
    expansion=64,
    writer={"usearch": "2.26.1"},
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    bundle = write(tmp_path_factory.mktemp("index"), quantize(units(N), SCALE))
    yield bundle
    bundle.close()


@pytest.fixture(scope="module")
def exact(small: Bundle) -> Iterator[DenseIndex]:
    index = DenseIndex.open(small, SPEC)
    yield index
    index.close()


def test_exact_search_is_the_cosine_of_the_int8_vectors(exact: DenseIndex) -> None:
    """Rows and scores are those that NumPy finds."""
    stored = quantize(units(N), SCALE).astype(np.float64)
    for query in units(20, seed=1):
        asked = quantize(query, SCALE).astype(np.float64)
        cosines = stored @ asked / np.linalg.norm(stored, axis=1) / np.linalg.norm(asked)
        found = exact.search(query, 10)
        assert found.rows.dtype == np.int64
        assert found.scores.dtype == np.float32
        assert found.scores == pytest.approx(np.sort(cosines)[::-1][:10], abs=1e-5)
        assert cosines[found.rows] == pytest.approx(found.scores, abs=1e-5)
        assert len(set(found.rows.tolist())) == 10


def test_int8_agrees_with_float32(exact: DenseIndex) -> None:
    """Recall@10 against the vectors before quantization."""
    vectors = units(N)
    queries = units(50, seed=2)
    hits = 0
    for query in queries:
        best = np.argsort(-(vectors @ query))[:10]
        hits += len(np.intersect1d(best, exact.search(query, 10).rows))
    assert hits / 500 >= 0.95


def test_hnsw_agrees_with_exact_search(small: Bundle, exact: DenseIndex) -> None:
    """On a few hundred vectors the graph misses next to nothing."""
    index = DenseIndex.open(small, replace(SPEC, search="hnsw", expansion=256))
    hits = 0
    for query in units(50, seed=3):
        hits += len(np.intersect1d(index.search(query, 10).rows, exact.search(query, 10).rows))
    index.close()
    assert hits / 500 >= 0.99


@pytest.mark.parametrize("search", ["exact", "hnsw"])
@pytest.mark.parametrize("count", [N, N + 1, 10**9, 2**64])
def test_more_than_there_are_gives_all(small: Bundle, search: Any, count: int) -> None:
    """Each row once, scores falling."""
    index = DenseIndex.open(small, replace(SPEC, search=search, expansion=2**40))
    found = index.search(units(1)[0], count)
    index.close()
    assert sorted(found.rows.tolist()) == list(range(N))
    assert np.all(np.diff(found.scores) <= 0)


def test_a_graph_of_repeated_vectors_gives_all(tmp_path: Path) -> None:
    """Equal vectors link to each other only, so the graph reaches few of these; the rest count too."""
    repeated = np.repeat(quantize(units(5), SCALE), N // 5, axis=0)
    index = DenseIndex.open(write(tmp_path, repeated), replace(SPEC, search="hnsw"))
    found = index.search(units(5)[2], N)
    index.close()
    assert sorted(found.rows.tolist()) == list(range(N))


def test_a_stored_vector_finds_itself(exact: DenseIndex) -> None:
    """With a cosine of one."""
    found = exact.search(units(N)[123], 1)
    assert found.rows.tolist() == [123]
    assert found.scores[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("search", ["exact", "hnsw"])
def test_threads_get_what_one_caller_gets(small: Bundle, search: Any) -> None:
    """usearch's scratch space is not theirs to share, hence the lock."""
    index = DenseIndex.open(small, replace(SPEC, search=search))
    queries = units(200, seed=4)
    expected = [index.search(query, 20).rows.tolist() for query in queries]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda query: index.search(query, 20).rows.tolist(), queries))
    index.close()
    assert found == expected


def test_a_closed_index_answers_no_more(small: Bundle) -> None:
    """Closing twice is harmless; searching afterwards is an error, not a crash."""
    index = DenseIndex.open(small, SPEC)
    index.close()
    index.close()
    with pytest.raises(ClosedError, match="closed; open the bundle again"):
        index.search(units(1)[0], 1)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"count": N - 1}, "the manifest says 399 vectors of 32 dimensions, i8, cos"),
        ({"count": N + 1}, "the manifest says 401 vectors of 32 dimensions, i8, cos"),
        ({"ndim": 31}, "the manifest says 400 vectors of 31 dimensions, i8, cos"),
    ],
)
def test_another_size_than_the_manifest_says_is_refused(
    small: Bundle, changes: dict[str, Any], found: str
) -> None:
    """Both are shown."""
    with pytest.raises(CompatibilityError) as caught:
        DenseIndex.open(small, replace(SPEC, **changes))
    assert str(caught.value).endswith(f"holds 400 vectors of 32 dimensions, i8, cos; {found}")


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"dtype": "f32"}, "f32, cos"), ({"dtype": "bf16"}, "bf16, cos"), ({"metric": "ip"}, "i8, ip")],
)
def test_another_kind_is_refused(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    """float32 vectors, or inner products, under the name of int8 and cosine."""
    vectors = units(N) if "dtype" in changes else quantize(units(N), SCALE)
    bundle = write(tmp_path, vectors, **changes)  # type: ignore[arg-type]
    with pytest.raises(CompatibilityError, match=f"holds 400 vectors of 32 dimensions, {found}"):
        DenseIndex.open(bundle, SPEC)


@pytest.mark.parametrize("size", [0, 1, 8, 100, 1000, -1000])
def test_a_file_cut_short_is_refused(small: Bundle, tmp_path: Path, size: int) -> None:
    """Should somebody hash it anew: one error with the versions."""
    data = (small.root / "dense.usearch").read_bytes()
    (tmp_path / "dense.usearch").write_bytes(data[:size])
    with pytest.raises(CompatibilityError, match=r"usearch cannot view it \(.*\); written by usearch 2.26.1"):
        DenseIndex.open(loose.bundle(tmp_path), SPEC)


@pytest.mark.parametrize("key", [N, 2**31, 2**63 + 5])
def test_a_key_that_is_no_row_is_an_error(tmp_path: Path, key: int) -> None:
    """Whether it is a little or absurdly too large, it indexes no array."""
    bundle = write(tmp_path, quantize(units(N), SCALE), keys=[*range(N - 1), key])
    index = DenseIndex.open(bundle, SPEC)
    with pytest.raises(BundleError, match="has a key beyond 400 rows; rebuild the bundle"):
        index.search(units(N)[N - 1], 5)
    index.close()


def only(mask: NDArray[np.bool_]) -> Allowed:
    return Allowed(mask, int(mask.sum()), int(mask.sum()))


SHARES = st.sampled_from([0.0, 0.003, 0.02, 0.2, 0.5, 0.9, 1.0])


@pytest.mark.parametrize("search", ["exact", "hnsw"])
@pytest.mark.parametrize("keys", ["in order", "shuffled"])
def test_the_nearest_of_the_allowed(tmp_path: Path, search: Any, keys: str) -> None:
    """As exact search over them would rank them: few or many, near or far, stored in order or not."""
    order = np.random.default_rng(5).permutation(N) if keys == "shuffled" else np.arange(N)
    stored = quantize(units(N), SCALE)
    index = DenseIndex.open(write(tmp_path, stored[order], keys=order), replace(SPEC, search=search))
    cosines = stored / np.linalg.norm(stored.astype(np.float64), axis=1, keepdims=True)

    @given(SHARES, st.integers(1, N + 1), st.integers(0, 99), st.booleans())
    def check(share: float, count: int, seed: int, far: bool) -> None:
        vector = units(1, seed=seed)[0]
        asked = quantize(vector, SCALE).astype(np.float64)
        scores = cosines @ asked / np.linalg.norm(asked)
        mask = np.random.default_rng(seed).random(N) < share
        if far:  # nothing allowed is among the nearest half
            mask &= scores < np.median(scores)
        found = index.search(vector, count, allowed=only(mask))
        expected = np.sort(scores[mask])[::-1][:count]
        assert found.scores == pytest.approx(expected, abs=1e-5)
        assert scores[found.rows] == pytest.approx(expected, abs=1e-5)
        assert mask[found.rows].all()
        assert len(set(found.rows.tolist())) == len(found)

    check()
    index.close()


def test_a_scan_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as in one, where vectors lie in another order than that of the rows."""
    order = np.random.default_rng(5).permutation(N)
    index = DenseIndex.open(write(tmp_path, quantize(units(N), SCALE)[order], keys=order), SPEC)
    mask = np.arange(N) % 4 == 1
    query = units(1, seed=8)[0]
    whole = index.search(query, 30, allowed=only(mask))
    monkeypatch.setattr(vector_index, "_BLOCK", 7)
    parts = index.search(query, 30, allowed=only(mask))
    index.close()
    assert np.array_equal(whole.scores, parts.scores)
    assert set(whole.rows.tolist()) == set(parts.rows.tolist())


def test_an_allowed_row_without_a_vector(tmp_path: Path) -> None:
    """An index whose keys are not the rows."""
    bundle = write(tmp_path, quantize(units(N), SCALE), keys=[*range(N - 1), N + 7])
    index = DenseIndex.open(bundle, SPEC)
    with pytest.raises(BundleError, match="has a row without a vector; rebuild the bundle"):
        index.search(units(N)[3], 5, allowed=only(np.arange(N) > N - 3))
    index.close()


def test_a_closed_index_filters_no_more(small: Bundle) -> None:
    """Its vectors are gone with it."""
    index = DenseIndex.open(small, SPEC)
    index.close()
    with pytest.raises(ClosedError):
        index.search(units(1)[0], 1, allowed=only(np.ones(N, np.bool_)))


def test_stored_vectors(exact: DenseIndex) -> None:
    """As they were written, and a search for one finds it first."""
    rows = np.array([7, 0, 399])
    found = exact.vectors(rows)
    assert np.array_equal(found, quantize(units(N)[rows], SCALE))
    assert [int(exact.search(vector, 1).rows[0]) for vector in found] == rows.tolist()


def test_stored_vectors_of_a_closed_index(small: Bundle) -> None:
    """Are gone."""
    index = DenseIndex.open(small, SPEC)
    index.close()
    with pytest.raises(ClosedError, match="the dense index has been closed"):
        index.vectors(np.array([0]))
