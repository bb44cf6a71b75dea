"""Fewer dimensions: what the map is, what it keeps, and how it is applied to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from build_tools import reduction as reductions
from build_tools.errors import BuildError, ModelError
from build_tools.reduction import MATRIX, VECTORS, DimensionCost, Moments, Reduction, costs, fit


def unit(count: int, ndim: int, seed: int = 0) -> NDArray[np.float32]:
    """Random unit vectors whose later components are smaller, with a mean far from zero."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(count, ndim)) * np.geomspace(1, 0.05, ndim) + 0.2
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def nothing(_: int) -> None:
    """Reports to nobody."""


def test_the_leading_directions_by_hand() -> None:
    """Vectors along two axes of a plane: the more frequent one comes first, each pointing its own way."""
    vectors = np.array([[0, 1, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    assert fit(vectors, 2).matrix == pytest.approx(np.array([[0, 0], [1, 0], [0, 1]]), abs=1e-6)
    assert Moments.of(vectors).matrix == pytest.approx(np.diag([0, 2 / 3, 1 / 3]))


def test_the_mean_stays() -> None:
    """Vectors that differ little from their mean are told by it, which centring would take away."""
    vectors = unit(200, 8) * np.float32(0.01) + np.float32(1)
    direction = fit(vectors, 1).matrix[:, 0]
    assert direction == pytest.approx(8**-0.5, abs=1e-2)


def test_signs_do_not_depend_on_the_library() -> None:
    """Each column's largest component is positive."""
    matrix = fit(unit(100, 12), 12).matrix
    assert (matrix[np.abs(matrix).argmax(0), np.arange(12)] > 0).all()


def test_prefix() -> None:
    """The first dimensions as they are, of unit length again."""
    vectors = unit(20, 10)
    reduction = fit(vectors, 4, method="prefix")
    kept = vectors[:, :4]
    assert reduction.apply(vectors) == pytest.approx(kept / np.linalg.norm(kept, axis=1, keepdims=True))


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 60), ndim=st.integers(2, 24), seed=st.integers(0, 9), data=st.data())
def test_columns_are_orthonormal(count: int, ndim: int, seed: int, data: st.DataObject) -> None:
    """For any number of dimensions, with fewer vectors than dimensions too."""
    kept = data.draw(st.integers(1, ndim))
    method = data.draw(st.sampled_from(["pca", "prefix"]))
    matrix = fit(unit(count, ndim, seed), kept, method=method).matrix
    assert matrix.dtype == np.float32
    assert matrix.T @ matrix == pytest.approx(np.eye(kept), abs=1e-5)


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 60), ndim=st.integers(2, 24), seed=st.integers(0, 9))
def test_all_dimensions_keep_every_inner_product(count: int, ndim: int, seed: int) -> None:
    """A turned space is the same space, for vectors that the fit has not seen as well."""
    vectors, queries = unit(count, ndim, seed), unit(5, ndim, seed + 1)
    reduction = fit(vectors, ndim)
    turned = reduction.apply(queries) @ reduction.apply(vectors).T
    assert turned == pytest.approx(queries @ vectors.T, abs=1e-5)


@settings(deadline=None, max_examples=25)
@given(ndim=st.integers(3, 16), seed=st.integers(0, 9), data=st.data())
def test_no_other_basis_keeps_more(ndim: int, seed: int, data: st.DataObject) -> None:
    """Of the documents' inner products: the error is the sum of the squared eigenvalues left out."""
    kept = data.draw(st.integers(1, ndim - 1))
    vectors = unit(40, ndim, seed)
    gram = vectors @ vectors.T

    def error(matrix: NDArray[np.float32]) -> float:
        reduced = vectors @ matrix
        return float(((reduced @ reduced.T - gram) ** 2).sum())

    best = error(fit(vectors, kept).matrix)
    eigenvalues = np.sort(np.linalg.eigvalsh(gram.astype(np.float64)))[::-1]
    assert best == pytest.approx((eigenvalues[kept:] ** 2).sum(), abs=1e-3)
    assert best <= error(fit(vectors, kept, method="prefix").matrix) + 1e-4


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted, applied and measured in small blocks or in one."""
    vectors, queries = unit(50, 6), unit(9, 6, 1)
    whole = fit(vectors, 3)
    at_once, costs_at_once = whole.apply(vectors), costs(vectors, queries, [2, 4])
    monkeypatch.setattr(reductions, "BLOCK", 7)
    assert fit(vectors, 3).matrix == pytest.approx(whole.matrix, abs=1e-6)
    told: list[int] = []
    mapped = whole.apply_all(vectors, tmp_path, advance=told.append)
    assert told == [7] * 7 + [1]
    assert mapped == pytest.approx(at_once, abs=1e-6)
    assert costs(vectors, queries, [2, 4]) == costs_at_once


def test_a_reduced_file_is_mapped_and_kept(tmp_path: Path) -> None:
    """A second call reads nothing; what an interrupted one left is not read."""
    (tmp_path / "vectors.part").write_bytes(b"torn")
    vectors = unit(20, 6)
    first = fit(vectors, 2).apply_all(vectors, tmp_path, advance=nothing)
    again = fit(vectors, 2).apply_all(np.empty((0, 6), np.float32), tmp_path, advance=nothing)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    assert np.array_equal(first, again)
    assert [path.name for path in tmp_path.iterdir()] == [VECTORS]


def test_a_vector_without_a_length(tmp_path: Path) -> None:
    """An error, not a division by zero; nothing is left that a later run would take for a result."""
    vectors = np.eye(4, dtype=np.float32)
    with pytest.raises(BuildError, match=r"teacher\.ndim 3: 1 vectors have no length left in 3 dimensions"):
        fit(vectors, 3, method="prefix").apply_all(vectors, tmp_path, advance=nothing)
    assert not (tmp_path / VECTORS).exists()


def test_more_dimensions_than_there_are() -> None:
    """The error says how many there are."""
    with pytest.raises(ModelError, match=r"teacher\.ndim 9: the teacher's vectors have 8 dimensions"):
        fit(unit(10, 8), 9)


def test_saved_and_loaded(tmp_path: Path) -> None:
    """To the bit."""
    reduction = fit(unit(30, 8), 5)
    reduction.save(tmp_path)
    loaded = Reduction.load(tmp_path)
    assert loaded.ndim == 5
    assert np.array_equal(loaded.matrix, reduction.matrix)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"not an array at all"])
def test_a_damaged_file(tmp_path: Path, content: bytes | None) -> None:
    """One error of ours, with the way out."""
    if content is not None:
        (tmp_path / MATRIX).write_bytes(content)
    with pytest.raises(BuildError, match=r"reduction\.npy: cannot be read .*delete it and build again"):
        Reduction.load(tmp_path)


@pytest.mark.parametrize("array", [np.zeros(4, np.float32), np.zeros((2, 2))])
def test_a_file_of_another_kind(tmp_path: Path, array: NDArray[np.float32]) -> None:
    """Is told from a matrix by shape and type."""
    np.save(tmp_path / MATRIX, array)
    with pytest.raises(BuildError, match="expected a float32 matrix; found float"):
        Reduction.load(tmp_path)


def test_what_dimensions_cost() -> None:
    """All of them cost nothing; fewer never keep more."""
    vectors, queries = unit(300, 16), unit(20, 16, 1)
    measured = costs(vectors, queries, [16, 8, 4, 2])
    assert measured[0] == DimensionCost(16, recall_10=1.0, variance_kept=1.0, bytes_per_vector=16)
    assert [cost.ndim for cost in measured] == [16, 8, 4, 2]
    recalls = [cost.recall_10 for cost in measured]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[-1] < 0.9
    kept = [cost.variance_kept for cost in measured]
    assert kept == sorted(kept, reverse=True)


def test_costs_by_hand() -> None:
    """Three axes, the last one rare: two dimensions keep two thirds of its neighbours' lengths."""
    axes = np.eye(3, dtype=np.float32)
    vectors = np.concatenate(
        [np.repeat(axes[:1], 6, 0), np.repeat(axes[1:2], 3, 0), axes[:1] * 0.6 + axes[2:] * 0.8]
    )
    (cost,) = costs(vectors, axes[:2], [2], method="prefix")
    assert cost.variance_kept == pytest.approx((9 + 0.36) / 10, abs=1e-4)
    assert cost.recall_10 == 1  # there are only ten


def test_costs_count_equal_scores_as_found() -> None:
    """Many documents are the same: which ten of them are found does not matter."""
    vectors = np.repeat(np.eye(2, 4, dtype=np.float32), 30, axis=0)
    (cost,) = costs(vectors, np.eye(2, 4, dtype=np.float32), [2])
    assert cost.recall_10 == 1
