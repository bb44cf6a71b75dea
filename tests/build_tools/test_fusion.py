"""What a build tells the device of its fusion."""

from __future__ import annotations

import numpy as np
import pytest

from build_tools import fusion, recipe


def test_chance_is_measured() -> None:
    """The mean of all cosines, and how far they spread around it within a query."""
    queries = np.array([[1, 0], [0, 1]], np.float32)
    passages = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
    found = fusion.settings(recipe.FusionSpec(balance=0.5, depth=7), queries, passages)
    assert (found.method, found.balance, found.depth) == ("weighted", 0.5, 7)
    assert found.cosine_mean == pytest.approx(np.mean([1, 0, 0.6, -1, 0, 1, 0.8, 0]), abs=1e-4)
    spread = (np.std([1, 0, 0.6, -1]) + np.std([0, 1, 0.8, 0])) / 2
    assert found.cosine_spread == pytest.approx(spread, abs=1e-4)


def test_passages_that_are_all_alike() -> None:
    """They have no spread, and the device divides by it."""
    passages = np.array([[1, 0]] * 3, np.float32)
    found = fusion.settings(recipe.FusionSpec(), passages[:1], passages)
    assert found.cosine_spread == fusion.LEAST_SPREAD


def test_many_passages_are_sampled_evenly() -> None:
    """So that the order of the corpus does not matter."""
    half = np.tile(np.array([[1, 0]], np.float32), (fusion.PASSAGES * 2, 1))
    passages = np.vstack([half, -half])
    found = fusion.settings(recipe.FusionSpec(), np.array([[1, 0]], np.float32), passages)
    assert (found.cosine_mean, found.cosine_spread) == (0.0, 1.0)
