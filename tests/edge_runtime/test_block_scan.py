"""Exact search in NumPy: usearch's own answers, on any processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import block_scan, cpu
from edge_runtime.block_scan import BlockScan
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex


def made_up(count: int, ndim: int, seed: int = 0) -> NDArray[np.int8]:
    """Vectors that use the whole range, some of them twice, one of zeros."""
    vectors = np.random.default_rng(seed).integers(-127, 128, (count, ndim)).astype(np.int8)
    vectors[count // 2] = vectors[0]
    vectors[count // 3] = 0
    return vectors


@pytest.mark.parametrize("count", [5, 256, 257, 1000])
@given(k=st.integers(1, 1100), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_nearest_by_cosine(count: int, k: int, seed: int) -> None:
    """As many as asked for or there are, best first, equals by row, over blocks of any fill."""
    vectors = made_up(count, 48, seed)
    query = vectors[count - 1]
    found = BlockScan(vectors).nearest(query, k)
    wide = vectors.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(wide, axis=1), 1e-9) * np.linalg.norm(wide[count - 1])
    cosines = wide @ wide[count - 1] / lengths
    assert len(found) == min(k, count)
    np.testing.assert_allclose(found.scores, np.sort(cosines)[::-1][:k], atol=1e-6)
    np.testing.assert_allclose(cosines[found.rows], found.scores, atol=1e-6)
    assert found.rows[0] == count - 1
    tied = found.rows[np.isin(found.rows, [0, count // 2])].tolist()
    assert tied == sorted(tied)


def test_a_query_of_zeros() -> None:
    """It is like nothing, and nothing is divided by zero."""
    found = BlockScan(made_up(10, 16)).nearest(np.zeros(16, np.int8), 3)
    assert found.scores.tolist() == [0, 0, 0]
    assert found.rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("aarch64", ("asimd",), True),
        ("arm64", (), True),
        ("aarch64", ("asimd", "asimddp"), False),
        ("x86_64", ("avx2",), False),
    ],
)
def test_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, machine: str, features: tuple[str, ...], expected: bool
) -> None:
    """64-bit ARM without dot product."""
    monkeypatch.setattr(block_scan.os, "uname", lambda: type("Uname", (), {"machine": machine}))
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu(None, features, 4))
    assert block_scan.pays() is expected


def test_an_index_answers_alike_either_way(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows and cosines as usearch's; closed as cleanly."""
    vectors = np.random.default_rng(1).normal(size=(20, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    answers = []
    for pays in (False, True):
        monkeypatch.setattr(block_scan, "pays", lambda pays=pays: pays)
        opened = Bundle.open(bundle)
        index = DenseIndex.open(opened, opened.manifest.index)
        answers.append([index.search(vector, 96) for vector in vectors])
        index.close()
        opened.close()
    for one, other in zip(*answers, strict=True):
        theirs, ours = (dict(zip(each.rows.tolist(), each.scores, strict=True)) for each in (one, other))
        assert len(ours) == 96
        assert ours == pytest.approx(theirs, abs=1e-6)
        assert (np.diff(other.scores) <= 0).all()
