"""Counting bits: the same numbers whoever counts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numkong
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import bits


@pytest.fixture(autouse=True)
def chosen_anew() -> Iterator[None]:
    """Who counts is found out once a process."""
    bits._best.cache_clear()
    yield
    bits._best.cache_clear()


COUNTERS = [bits.differing, bits.by_numpy, bits.numkong_counter(numkong)]


@pytest.mark.parametrize("count", COUNTERS, ids=["best", "numpy", "numkong"])
@given(st.integers(0, 90), st.integers(1, 9), st.integers(1, 13), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_differing(count: Callable[..., Any], n: int, planes: int, words: int, seed: int) -> None:
    """As Python counts them, of any number of words."""
    chance = np.random.default_rng(seed)
    codes, others = (chance.integers(0, 2**64, (some, words), np.uint64) for some in (n, planes))
    found = count(codes, others)
    assert (found.dtype, found.shape) == (np.uint32, (n, planes))
    one_by_one = [
        [sum(int(a ^ b).bit_count() for a, b in zip(x, y, strict=True)) for y in others] for x in codes
    ]
    assert found.tolist() == one_by_one


def test_any_order_in_memory() -> None:
    """Codes that are not one after the other are copied first."""
    codes = np.random.default_rng(0).integers(0, 2**64, (40, 6), np.uint64)
    assert bits.differing(codes[::2, ::2], codes[:3, ::2]).tolist() == (
        bits.by_numpy(codes[::2, ::2].copy(), codes[:3, ::2].copy()).tolist()
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"hammings_packed": lambda codes, planes, out: None},  # counts nothing
        {"hammings_packed": lambda codes, planes: None},  # another interface
        {"from_pointer": None},
    ],
)
def test_a_numkong_that_is_another(changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not trusted: NumPy counts."""
    other = SimpleNamespace(**(vars(numkong) | changed))
    assert bits.numkong_counter(other) is None
    monkeypatch.setitem(sys.modules, "numkong", other)
    assert bits._best() is bits.by_numpy


def test_no_numkong(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy counts."""
    monkeypatch.setitem(sys.modules, "numkong", None)
    assert bits._best() is bits.by_numpy


def test_packed() -> None:
    """The first bit is the lowest of the first word; what is left of the last is 0."""
    flags = np.zeros((2, 70), bool)
    flags[0, [0, 65]] = flags[1, 63] = True
    assert bits.packed(flags).tolist() == [[1, 2], [2**63, 0]]


def test_counting_bits_without_numpy_2() -> None:
    """tflite-runtime asks for NumPy 1, which cannot count them."""
    words = np.random.default_rng(0).integers(0, 2**64, (50, 3), dtype=np.uint64)
    expected = [[int(word).bit_count() for word in line] for line in words]
    assert bits.bit_counts(words).tolist() == expected
    assert bits.bit_counts_by_table(words).tolist() == expected
