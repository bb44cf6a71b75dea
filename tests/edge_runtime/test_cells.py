"""The inverted file: what its two stages find, with filters and without, and what its files must hold."""

from __future__ import annotations

import errno
import os
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

from build_tools import cells as writer
from build_tools import loose
from edge_runtime import cells, codes, stored_vectors
from edge_runtime.allowed import Allowed
from edge_runtime.dense import DenseIndex, quantize
from edge_runtime.errors import BundleError, ClosedError
from edge_runtime.manifest import IndexSpec

N, NDIM, CELLS, SCALE = 3000, 100, 32, 300.0


def units(n: int, seed: int) -> NDArray[np.float32]:
    """Around forty centres, not near them."""
    centres = np.random.default_rng(77).standard_normal((40, NDIM))
    chance = np.random.default_rng(seed)
    vectors = centres[chance.integers(0, 40, n)] + 1.2 * chance.standard_normal((n, NDIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


STORED = quantize(units(N, seed=0), SCALE)
LENGTHS = np.linalg.norm(STORED.astype(np.float64), axis=1)
SPEC = IndexSpec(
    path="dense",
    search="ivf",
    metric="cos",
    dtype="i8",
    ndim=NDIM,
    count=N,
    scale=SCALE,
    expansion=100,
    writer={"scikit-learn": "1.9.1"},
    probes=8,
)
EVERYTHING = replace(SPEC, probes=CELLS, expansion=N)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files of an index of `STORED`."""
    made = tmp_path_factory.mktemp("cells")
    writer.write(STORED, made / "dense", cells=CELLS, advance=lambda _: None)
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


def test_looking_everywhere_is_exact_search(opened: Any) -> None:
    """Rows and scores are those that NumPy finds."""
    index = opened(EVERYTHING)
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


def test_a_few_cells_hold_most_of_the_nearest(opened: Any) -> None:
    """The more are looked into and compared, the more is found."""
    found = [recall(opened(replace(EVERYTHING, probes=probes))) for probes in (1, 4, 16, CELLS)]
    assert found == sorted(found)
    assert 0.5 < found[0] < found[3] == 1


def test_codes_choose_well_what_is_compared(opened: Any) -> None:
    """A tenth of all vectors, chosen by a bit a component, holds nearly all of the ten nearest."""
    assert recall(opened(replace(SPEC, probes=CELLS, expansion=N // 10))) >= 0.98


def test_a_second_bit_chooses_better(opened: Any, folder: Path) -> None:
    """What both bits say of r·q is right on average, and half as far off as what the first says."""
    index, places = opened(SPEC)._index, np.arange(N)
    files = index._opened()
    stored = (STORED / LENGTHS[:, None])[files.stored.places.rows(places)]
    rest = stored - np.repeat(files.centroids, np.diff(files.ends), axis=0)
    asked = units(30, seed=9)
    exact = rest @ asked.T
    rounded = [cells._Rounded.of(query) for query in asked]
    read = np.concatenate([block.copy() for block in files.codes.first(np.array([0]), np.array([N]))])
    first = np.stack([query.sums(read) for query in rounded], axis=1)
    both = first + np.stack([query.sums(files.codes.second(places)) for query in rounded], axis=1) / 2
    one, two = (
        factors[:, None] * sums - exact for factors, sums in zip(files.factors, (first, both), strict=True)
    )
    assert abs(one.mean()) < 0.05 * exact.std()
    assert abs(two.mean()) < 0.05 * exact.std()
    assert two.std() < 0.6 * one.std() < 0.6 * 0.8 * exact.std()


@pytest.mark.parametrize("count", [N, N + 1, 10**9, 2**64])
def test_more_than_there_are_gives_all(opened: Any, count: int) -> None:
    """However few cells a search looks into otherwise."""
    found = opened(replace(SPEC, probes=1, expansion=1)).search(units(1, seed=3)[0], count)
    assert sorted(found.rows.tolist()) == list(range(N))
    assert np.all(np.diff(found.scores) <= 0)


@given(st.integers(1, 500), st.integers(0, 20))
@settings(deadline=None, max_examples=40)
def test_as_many_as_are_asked_for(folder: Path, count: int, seed: int) -> None:
    """Each once, from best to worst."""
    bundle = loose.bundle(folder)
    index = DenseIndex.open(bundle, replace(SPEC, probes=1))
    found = index.search(units(1, seed)[0], count)
    index.close()
    bundle.close()
    assert len(set(found.rows.tolist())) == len(found) == count
    assert np.all(np.diff(found.scores) <= 0)


def only(mask: NDArray[np.bool_]) -> Allowed:
    """A document a passage."""
    return Allowed(mask, int(mask.sum()), int(mask.sum()))


SHARES = st.sampled_from([0.0, 0.001, 0.02, 0.2, 0.5, 0.9, 1.0])


@given(SHARES, st.integers(1, 300), st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=150)
def test_the_nearest_of_the_allowed(folder: Path, share: float, count: int, seed: int, far: bool) -> None:
    """As exact search over them would rank them when all cells are looked into; else as many of them."""
    query = units(1, seed)[0]
    scores = cosines(query)
    mask = np.random.default_rng(seed).random(N) < share
    if far:  # nothing allowed is among the nearest half
        mask &= scores < np.median(scores)
    expected = np.sort(scores[mask])[::-1][:count]
    bundle = loose.bundle(folder)
    for spec in (EVERYTHING, replace(SPEC, probes=1, expansion=1)):
        index = DenseIndex.open(bundle, spec)
        found = index.search(query, count, allowed=only(mask))
        index.close()
        assert len(set(found.rows.tolist())) == len(found) == len(expected)
        assert mask[found.rows].all()
        assert scores[found.rows] == pytest.approx(found.scores, abs=1e-5)
        if spec is EVERYTHING:
            assert found.scores == pytest.approx(expected, abs=1e-5)
    bundle.close()


def test_codes_in_blocks(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as in one."""
    query, spec = units(1, seed=6)[0], replace(SPEC, probes=CELLS)
    whole = opened(spec).search(query, 20)
    monkeypatch.setattr(codes, "_BLOCK", 7)
    monkeypatch.setattr(stored_vectors, "_BLOCK", 9)
    parts = opened(spec).search(query, 20)
    assert parts.rows.tolist() == whole.rows.tolist()
    assert parts.scores == pytest.approx(whole.scores, abs=1e-6)


def test_codes_are_those_of_the_file(folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read of it, in however many pieces."""
    written = np.load(folder / "dense" / "codes.npy")
    monkeypatch.setattr(codes, "_BLOCK", 100)
    read = opened(SPEC)._index._opened().codes
    starts, stops = np.array([5, 40, 40, 900]), np.array([30, 40, 41, 1250])
    expected = np.concatenate([written[0, begin:end] for begin, end in zip(starts, stops, strict=True)])
    blocks = [block.copy() for block in read.first(starts, stops)]
    assert [len(block) for block in blocks] == [100, 100, 100, 76]
    assert np.array_equal(np.concatenate(blocks), expected)
    places = np.array([0, 1, 2, 77, 79, 80, N - 1])
    assert np.array_equal(read.second(places), written[1, places])


def test_codes_that_end_early(folder: Path, tmp_path: Path) -> None:
    """As a file does that is written over while it is in use, or on a card that fails: an error, no crash."""
    shutil.copytree(folder / "dense", tmp_path / "dense")
    bundle = loose.bundle(tmp_path)
    index = DenseIndex.open(bundle, SPEC)
    os.truncate(tmp_path / "dense" / "codes.npy", 5000)
    with pytest.raises(BundleError, match=r"codes\.npy: ends early; copy the bundle again"):
        index.search(units(1, seed=1)[0], 5)
    index.close()
    bundle.close()


def test_stored_vectors(opened: Any) -> None:
    """By row, wherever they lie; a search for one finds it first."""
    index, rows = opened(SPEC), np.array([7, 0, N - 1, 7])
    found = index.vectors(rows)
    assert np.array_equal(found, STORED[rows])
    assert [int(index.search(vector, 1).rows[0]) for vector in found] == rows.tolist()


def test_threads_get_what_one_caller_gets(opened: Any) -> None:
    """And giving pages back meanwhile changes nothing."""
    index, queries = opened(SPEC), units(200, seed=4)
    expected = [index.search(query, 20).rows.tolist() for query in queries]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda query: index.search(query, 20).rows.tolist(), queries)) == expected


def test_a_closed_index_answers_no_more(opened: Any) -> None:
    """Closing twice is harmless."""
    index = opened(SPEC)
    index.close()
    index.close()
    with pytest.raises(ClosedError, match="closed; open the bundle again"):
        index.search(units(1, seed=1)[0], 1)


def test_a_card_that_fails(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a bundle that cannot be read."""

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(BundleError, match=r"codes\.npy: cannot be read \(Input/output error\)"):
        opened(SPEC).search(units(1, seed=1)[0], 5)


def test_a_query_of_no_length(opened: Any) -> None:
    """Is like nothing, and no error."""
    found = opened(SPEC).search(np.zeros(NDIM, np.float32), 5)
    assert found.scores.tolist() == [0] * 5


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("centroids", lambda a: a[:, :-1], "centroids.npy: expected float32 of shape"),
        ("ends", lambda a: a[:-1], "ends.npy: expected int64 of shape"),
        ("ends", lambda a: a[::-1], "ends.npy: expected to rise from 0 to 3000"),
        ("ends", lambda a: a // 2, "ends.npy: expected to rise from 0 to 3000"),
        ("rows", lambda a: a.astype(np.int64), "rows.npy: expected int32 of shape .*; found int64"),
        ("places", lambda a: a[:-1], "places.npy: expected int32 of shape"),
        ("codes", lambda a: a[:1], "codes.npy: expected uint64 of shape"),
        ("factors", lambda a: a[0], "factors.npy: expected float32 of shape"),
        ("vectors", lambda a: a.view(np.uint8), "vectors.npy: expected int8 of shape"),
    ],
)
def test_files_that_contradict_the_manifest(
    folder: Path, tmp_path: Path, name: str, change: Any, message: str
) -> None:
    """Should somebody hash them anew."""
    shutil.copytree(folder / "dense", tmp_path / "dense")
    path = tmp_path / "dense" / f"{name}.npy"
    np.save(path, np.ascontiguousarray(change(np.load(path))))
    bundle = loose.bundle(tmp_path)
    with pytest.raises(BundleError, match=message):
        DenseIndex.open(bundle, SPEC)
    bundle.close()


@pytest.mark.parametrize("wrong", [N, -1])
def test_rows_and_places_beyond_the_index(folder: Path, tmp_path: Path, wrong: int) -> None:
    """Are found when they are met: they index no array."""
    shutil.copytree(folder / "dense", tmp_path / "dense")
    for name in ("rows", "places"):
        path = tmp_path / "dense" / f"{name}.npy"
        np.save(path, np.full_like(np.load(path), wrong))
    bundle = loose.bundle(tmp_path)
    index = DenseIndex.open(bundle, SPEC)
    with pytest.raises(BundleError, match=r"rows\.npy: names one beyond the 3000 of the index"):
        index.search(units(1, seed=1)[0], 5)
    with pytest.raises(BundleError, match=r"places\.npy: names one beyond the 3000 of the index"):
        index.vectors(np.array([3]))
    index.close()
    bundle.close()
