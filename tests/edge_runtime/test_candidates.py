"""Grouping by document, and what one stage alone says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import candidates
from edge_runtime.candidates import Evidence, Grouped
from edge_runtime.ranking import Ranking, empty


def ranking(*rows: int) -> Ranking:
    """These rows, with scores that fall from 1."""
    scores = np.linspace(1, 0.5, len(rows), dtype=np.float32)
    return Ranking(np.array(rows, np.int64), scores)


def grouped(*documents: int) -> Grouped:
    """These documents, each by a row of its own: ten times its number."""
    rows = np.array(documents, np.int64) * 10
    scores = np.linspace(1, 0.5, len(documents), dtype=np.float32)
    return Grouped(np.array(documents, np.int32), rows, scores)


def test_a_document_counts_by_its_best_passage() -> None:
    """Later passages of a document that is there already are dropped."""
    found = candidates.group(ranking(5, 3, 8, 1), np.array([7, 2, 7, 9], np.int32), 10)
    assert found.documents.tolist() == [7, 2, 9]
    assert found.rows.tolist() == [5, 3, 1]
    assert found.scores[0] == 1.0
    assert found.scores[-1] == np.float32(0.5)


def test_grouping_stops_at_the_limit() -> None:
    """The best come first, and only as many as are wanted."""
    owners = np.array([4, 4, 1, 0], np.int32)
    assert candidates.group(ranking(1, 2, 3, 4), owners, 2).documents.tolist() == [4, 1]
    assert len(candidates.group(ranking(1, 2, 3, 4), owners, 0).rows) == 0


def test_grouping_nothing_gives_nothing() -> None:
    """A query without a known word."""
    assert len(candidates.group(empty(), np.empty(0, np.int32), 10).rows) == 0


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 12))
@settings(deadline=None, max_examples=100)
def test_grouping_keeps_order_and_drops_repeats(owners: list[int], limit: int) -> None:
    """As a dict does."""
    found = candidates.group(ranking(*range(len(owners))), np.array(owners, np.int32), limit)
    assert found.documents.tolist() == list(dict.fromkeys(owners))[:limit]
    assert found.rows.tolist() == [owners.index(document) for document in found.documents]


@pytest.mark.parametrize("lexical", [False, True])
def test_one_stage_alone_keeps_its_scores(lexical: bool) -> None:
    """And says which stage it was."""
    one, two = candidates.single(grouped(3, 1), lexical=lexical)
    evidence = (Evidence(1, 1.0, 1.0), Evidence(2, 0.5, 0.5))
    assert [one.row, two.row] == [30, 10]
    assert [one.score, two.score] == [1.0, 0.5]
    assert (one.lexical if lexical else one.dense, two.lexical if lexical else two.dense) == evidence
    assert (one.dense if lexical else one.lexical) is None
