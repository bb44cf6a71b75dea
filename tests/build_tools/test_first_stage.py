"""What a reranker gets to read: fused as the device fuses, and put in a new order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from build_tools import lexical
from build_tools.first_stage import FirstStage, by_logit, by_sum, open_words
from build_tools.recipe import FusionSpec, LexicalSpec
from edge_runtime.candidates import Candidate

CONTENTS = ["yeast dough", "oven and yeast", "wheel", "wheel and chain", "anchor rope"]
OWNERS = np.array([0, 0, 1, 2, 3], np.int32)
VECTORS = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0], [0, -1]], np.float32)


@pytest.fixture
def first(tmp_path: Path) -> FirstStage:
    """Four documents, the first of two passages."""
    spec = lexical.write(CONTENTS, tmp_path, spec=LexicalSpec())
    return FirstStage(VECTORS, OWNERS, open_words(tmp_path, spec), FusionSpec(method="rrf", k=10, depth=3))


def test_each_half(first: FirstStage) -> None:
    """Documents by their best passage, at most `depth`."""
    dense = first.dense(np.array([0.6, 0.8], np.float32))
    assert dense.documents.tolist() == [0, 1, 2]
    assert dense.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(dense.scores, [0.96, 0.8, -0.6], atol=1e-6)
    assert first.lexical("the wheels of a chain").rows.tolist() == [3, 2]
    assert first.lexical("unheard").rows.tolist() == []


def test_fused(first: FirstStage) -> None:
    """The sum of 1 / (k + rank)."""
    found = first.fused("wheel chain", np.array([0.6, 0.8], np.float32))
    assert [candidate.row for candidate in found] == [3, 2, 1]
    expected = [1 / 11 + 1 / 13, 1 / 12 + 1 / 12, 1 / 11]
    assert [candidate.score for candidate in found] == pytest.approx(expected)


def ranked(*scores: float) -> list[Candidate]:
    """Candidates whose rows are their places."""
    return [Candidate(row, score) for row, score in enumerate(scores)]


def test_by_logit_reorders_what_was_scored() -> None:
    """Equal scores keep their order, and the rest follows."""
    found = by_logit(ranked(5, 4, 3, 2, 1), np.array([0.5, 2, 0.5], np.float32))
    assert [candidate.row for candidate in found] == [1, 0, 2, 3, 4]


def test_by_sum_weighs_both() -> None:
    """Both are scaled to 0 to 1: 1 + 0, 0.9 + 1 and 0 + 0.8 here."""
    found = by_sum(ranked(20, 19, 10, 1), np.array([-5, 5, 3], np.float32))
    assert [candidate.row for candidate in found] == [1, 0, 2, 3]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_scores_without_a_difference(count: int) -> None:
    """They change nothing, and nothing is divided by zero."""
    found = by_sum(ranked(*[7.0] * count), np.zeros(count, np.float32))
    assert [candidate.row for candidate in found] == list(range(count))
