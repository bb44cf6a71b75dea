"""Intervals of paired differences."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

Script = Callable[[str], ModuleType]


def test_what_chance_can_do_to_two_queries(script: Script) -> None:
    """Of 10,000 resamples of the differences 0 and 1, a quarter have mean 0 and a quarter 1."""
    found = script("bootstrap").paired(np.array([0.5, 1.0]), np.array([0.5, 0.0]))
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    assert str(found) == "+0.500 [+0.000, +1.000]"


def test_a_constant_difference_is_certain(script: Script) -> None:
    """However much the queries themselves differ: they are paired."""
    theirs = np.array([0.0, 0.25, 1.0, 0.5])
    found = script("bootstrap").paired(theirs - 0.125, theirs)
    assert (found.mean, found.low, found.high) == (-0.125, -0.125, -0.125)
    assert str(found) == "-0.125 [-0.125, -0.125]"


def test_agrees_with_the_normal_approximation(script: Script) -> None:
    """Of many queries, the interval is the mean and 1.96 standard errors to each side."""
    differences = np.random.default_rng(7).normal(0.02, 0.3, 2000)
    found = script("bootstrap").paired(differences, np.zeros(2000))
    error = differences.std() / np.sqrt(2000)
    assert found.mean == differences.mean()
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.05 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.05 * error)


@settings(deadline=None, max_examples=10)
@given(
    differences=arrays.arrays(
        np.float64, st.integers(1, 30), elements=st.integers(-64, 64).map(lambda n: n / 64)
    )
)
def test_who_is_compared_with_whom(script: Script, differences: np.ndarray) -> None:
    """Turning the comparison round turns the interval round; the same figures always give the same."""
    paired, zeros = script("bootstrap").paired, np.zeros_like(differences)
    found, turned = paired(differences, zeros), paired(zeros, differences)
    assert found == paired(differences, zeros)
    assert found.low - 1e-12 <= found.mean <= found.high + 1e-12
    expected = (-found.mean, -found.high, -found.low)
    assert (turned.mean, turned.low, turned.high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), [((3,), (2,)), ((3,), (1,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_not_the_same_queries(script: Script, ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    """Numpy would stretch one to the other, or call the mean of nothing not a number."""
    with pytest.raises(ValueError, match="expected figures of the same queries"):
        script("bootstrap").paired(np.zeros(ours), np.zeros(theirs))
