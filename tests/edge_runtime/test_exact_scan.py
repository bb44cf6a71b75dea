"""Every vector compared, or every allowed one: in place or gathered, in one piece or many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import exact_scan
from edge_runtime.exact_scan import ExactScan, Pieces, highest
from edge_runtime.residence import AROUND, MOST_BYTES, Residence


def made_up(count: int, ndim: int, seed: int = 0) -> NDArray[np.int8]:
    """Vectors that use the whole range, some of them twice, one of zeros."""
    vectors = np.random.default_rng(seed).integers(-127, 128, (count, ndim)).astype(np.int8)
    vectors[count // 2] = vectors[0]
    vectors[count // 3] = 0
    return vectors


def cosines(vectors: NDArray[np.int8], query: NDArray[np.int8]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(wide, axis=1), 1e-9) * np.linalg.norm(query.astype(np.float64))
    found: NDArray[np.float64] = wide @ query.astype(np.float64) / lengths
    return found


@pytest.mark.parametrize("count", [5, 256, 257, 1000, 20_000])
@given(k=st.integers(1, 1100), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_nearest_by_cosine(count: int, k: int, seed: int) -> None:
    """As many as asked for or there are, best first, equals by row."""
    vectors = made_up(count, 48, seed)
    query = vectors[count - 1]
    found = ExactScan(vectors).nearest(query, k)
    expected = cosines(vectors, query)
    assert len(found) == min(k, count)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1][:k], atol=1e-6)
    np.testing.assert_allclose(expected[found.rows], found.scores, atol=1e-6)
    assert found.rows[0] == count - 1
    tied = found.rows[np.isin(found.rows, [0, count // 2])].tolist()
    assert tied == sorted(tied)


def test_a_query_of_zeros() -> None:
    """It is like nothing, and nothing is divided by zero."""
    found = ExactScan(made_up(10, 16)).nearest(np.zeros(16, np.int8), 3)
    assert found.scores.tolist() == [0, 0, 0]
    assert found.rows.tolist() == [0, 1, 2]


MASKS = st.sampled_from(["none", "one", "few", "half", "all", "ends", "runs", "run and few"])


def mask_of(kind: str, count: int, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Rows of a kind that pieces are cut for."""
    if kind == "runs":
        return np.repeat(chance.random(-(-count // 400)) < 0.4, 400)[:count]
    mask = chance.random(count) < {"few": 0.01, "run and few": 0.01, "half": 0.5, "all": 1}.get(kind, 0)
    if kind == "run and few":
        mask[count // 4 : count // 2] = True
    if kind in ("one", "ends"):
        mask[[0, -1] if kind == "ends" else chance.integers(count)] = True
    return mask


@given(kind=MASKS, count=st.sampled_from([1, 300, 5000]), k=st.integers(1, 400), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_nearest_of_the_allowed(kind: str, count: int, k: int, seed: int) -> None:
    """Whether they are compared in place, with others in between, or gathered: as NumPy finds them."""
    vectors = made_up(count, 24, seed)
    query = np.random.default_rng(seed).integers(-127, 128, 24).astype(np.int8)
    rows = np.flatnonzero(mask_of(kind, count, np.random.default_rng(seed)))
    found = ExactScan(vectors).nearest_of(query, k, Pieces.of(rows))
    expected = cosines(vectors, query)
    assert np.isin(found.rows, rows).all()
    assert len(set(found.rows.tolist())) == len(found)
    np.testing.assert_allclose(found.scores, np.sort(expected[rows])[::-1][:k], atol=1e-6)
    np.testing.assert_allclose(expected[found.rows], found.scores, atol=1e-6)


@given(kind=MASKS, count=st.sampled_from([1, 300, 5000, 40_000]), seed=st.integers(0, 99))
@settings(deadline=None)
def test_pieces_hold_every_row_once(kind: str, count: int, seed: int) -> None:
    """In order; and they cost no more than gathering every row, nor much more than all in place."""
    rows = np.flatnonzero(mask_of(kind, count, np.random.default_rng(seed)))
    pieces = Pieces.of(rows)
    joined = [rows[start:stop] for start, stop in pieces.ends]
    assert np.array_equal(np.concatenate([rows[:0], *joined]), rows)
    assert all(0 < len(piece) <= exact_scan._PIECE for piece in joined)
    assert pieces.cost <= min(
        exact_scan.IN_PLACE_A_GATHERED * len(rows), count + exact_scan._IN_PLACE_A_PIECE
    )


def test_runs_are_compared_in_place_and_scattered_rows_gathered() -> None:
    """Each piece has its own way."""
    rows = np.append(np.arange(1000, 5000), np.arange(100_000, 103_000, 30))
    pieces = Pieces.of(rows)
    assert [pieces.in_place(*ends) for ends in pieces.ends] == [True, False]
    assert pieces.cost == 4000 + 4 * 100 + 2 * exact_scan._IN_PLACE_A_PIECE


@given(count=st.integers(1, 900), k=st.integers(1, 900), values=st.integers(1, 2000), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_highest(count: int, k: int, values: int, seed: int) -> None:
    """As a stable sort finds them, with many equals or none."""
    scores = np.random.default_rng(seed).integers(-values, values, count).astype(np.float32)
    assert np.array_equal(highest(scores, k), np.argsort(-scores, kind="stable")[:k])


def test_pages_that_were_read_are_counted() -> None:
    """Those of all vectors, or of the pieces that are compared; of gathered ones those around each."""
    vectors = made_up(50_000, 400)
    released: list[int] = []
    residence = Residence(MOST_BYTES + 1, lambda: released.append(residence._touched))
    scan = ExactScan(vectors, residence)
    scan.nearest(vectors[0], 1)  # 20 MB, and 20 for the lengths
    assert len(released) == 2
    residence._touched = 0
    scan.nearest_of(vectors[0], 1, Pieces.of(np.arange(1000)))
    assert residence._touched == 1000 * 400
    scan.nearest_of(vectors[0], 1, Pieces.of(np.arange(0, 50_000, 10_000)))
    assert residence._touched == 1000 * 400 + 5 * AROUND // 400 * 400


def test_a_matrix_of_a_file(tmp_path: Path) -> None:
    """Read-only memory serves as well."""
    vectors = made_up(3000, 24)
    vectors.tofile(tmp_path / "vectors")
    mapped = np.memmap(tmp_path / "vectors", np.int8, "r", shape=vectors.shape)
    found, expected = (ExactScan(each).nearest(vectors[7], 10) for each in (mapped, vectors))
    assert np.array_equal(found.rows, expected.rows)
