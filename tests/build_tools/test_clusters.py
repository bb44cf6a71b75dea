"""Cells of vectors that are alike, and an order in which those are near each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import clusters


def clustered(count: int, seed: int = 0) -> NDArray[np.int8]:
    """int8 vectors of 40 dimensions around twelve centres, in no order."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((12, 40))
    vectors = centres[chance.integers(0, 12, count)] + 0.2 * chance.standard_normal((count, 40))
    return np.clip(np.rint(vectors * 40), -127, 127).astype(np.int8)


def test_owners_are_the_nearest_centroids() -> None:
    """Also beyond one block."""
    codes = clustered(10_000)
    centres = clusters.centroids(codes, 12)
    found = clusters.owners(codes, centres)
    assert np.array_equal(found, (clusters.units(codes) @ centres.T).argmax(axis=1))
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(12), abs=1e-5)


def nearness(codes: NDArray[np.int8]) -> float:
    """The mean cosine of one vector to the next."""
    units = clusters.units(codes)
    return float((units[1:] * units[:-1]).sum(axis=1).mean())


def test_neighbours_come_one_after_the_other() -> None:
    """Each row once; twelve centres are farther apart than what lies around each of them."""
    codes = clustered(10_000)
    order = clusters.neighbourly(codes)
    assert np.array_equal(np.sort(order), np.arange(10_000))
    assert nearness(codes) < 0.2
    assert nearness(codes[order]) > 0.8


@pytest.mark.parametrize("count", [1, 2, 512])
def test_few_vectors_keep_their_order(count: int) -> None:
    """They are near each other anyway."""
    assert clusters.neighbourly(clustered(count)).tolist() == list(range(count))


def test_vectors_that_are_all_equal() -> None:
    """Or have no length: there is an order all the same."""
    for codes in (np.repeat(clustered(1), 2000, axis=0), np.zeros((2000, 40), np.int8)):
        assert sorted(clusters.neighbourly(codes).tolist()) == list(range(2000))
