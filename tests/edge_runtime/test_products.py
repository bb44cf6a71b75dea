"""Dot products of int8 vectors: either way, the exact ones."""

from __future__ import annotations

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import cpu, products

WAYS = [products.by_widening, products.by_numkong()]


@pytest.mark.parametrize("multiply", WAYS, ids=["widening", "numkong"])
@given(count=st.sampled_from([1, 5, 256, 257, 700]), ndim=st.integers(1, 1040), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_products_are_exact(multiply: products.Multiply, count: int, ndim: int, seed: int) -> None:
    """Up to 1,040 dimensions, over blocks of any fill, of components as large as there are."""
    chance = np.random.default_rng(seed)
    vectors = chance.choice(np.array([-127, -3, 0, 127], np.int8), (count, ndim))
    query = chance.choice(np.array([-127, 1, 127], np.int8), ndim)
    out = np.full(count, np.nan, np.float32)
    multiply(vectors, query, out)
    assert np.array_equal(out, vectors.astype(np.int64) @ query.astype(np.int64))


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("aarch64", ("asimd",), True),
        ("arm64", (), True),
        ("aarch64", ("asimd", "asimddp"), False),
        ("x86_64", ("avx2",), False),
    ],
)
def test_where_widening_pays(
    monkeypatch: pytest.MonkeyPatch, machine: str, features: tuple[str, ...], expected: bool
) -> None:
    """64-bit ARM without dot product."""
    monkeypatch.setattr(products.os, "uname", lambda: type("Uname", (), {"machine": machine}))
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu(None, features, 4))
    assert products.widening_pays() is expected
    assert (products.kernel() is products.by_widening) is expected


def test_the_length_of_a_vector() -> None:
    """One of zeros counts as of length 1: nothing is divided by zero."""
    assert products.length(np.array([3, 4], np.int8)) == 5
    assert products.length(np.zeros(7, np.int8)) == 1
