"""Grouping by document, and reciprocal rank fusion by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import fusion
from edge_runtime.fusion import Candidate, Evidence, Grouped
from edge_runtime.ranking import Ranking, empty


def ranking(*rows: int) -> Ranking:
    """These rows, with scores that fall from 1."""
    scores = np.linspace(1, 0.5, len(rows), dtype=np.float32)
    return Ranking(np.array(rows, np.int64), scores)


def grouped(*documents: int, first_row: int = 0) -> Grouped:
    """These documents, each by a row of its own: ten times its number and `first_row`."""
    rows = np.array(documents, np.int64) * 10 + first_row
    scores = np.linspace(1, 0.5, len(documents), dtype=np.float32)
    return Grouped(np.array(documents, np.int32), rows, scores)


def fuse(dense: Grouped, lexical: Grouped, *, k: int = 60, limit: int = 100) -> list[Candidate]:
    return fusion.fuse(dense, lexical, k=k, limit=limit)


def test_a_document_counts_by_its_best_passage() -> None:
    """Later passages of a document that is there already are dropped."""
    found = fusion.group(ranking(5, 3, 8, 1), np.array([7, 2, 7, 9], np.int32), 10)
    assert found.documents.tolist() == [7, 2, 9]
    assert found.rows.tolist() == [5, 3, 1]
    assert found.scores[0] == 1.0
    assert found.scores[-1] == np.float32(0.5)


def test_grouping_stops_at_the_limit() -> None:
    """The best come first, and only as many as are wanted."""
    owners = np.array([4, 4, 1, 0], np.int32)
    assert fusion.group(ranking(1, 2, 3, 4), owners, 2).documents.tolist() == [4, 1]
    assert len(fusion.group(ranking(1, 2, 3, 4), owners, 0).rows) == 0


def test_grouping_nothing_gives_nothing() -> None:
    """A query without a known word."""
    assert len(fusion.group(empty(), np.empty(0, np.int32), 10).rows) == 0


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 12))
@settings(deadline=None, max_examples=100)
def test_grouping_keeps_order_and_drops_repeats(owners: list[int], limit: int) -> None:
    """As a dict does."""
    found = fusion.group(ranking(*range(len(owners))), np.array(owners, np.int32), limit)
    assert found.documents.tolist() == list(dict.fromkeys(owners))[:limit]
    assert found.rows.tolist() == [owners.index(document) for document in found.documents]


@pytest.mark.parametrize("lexical", [False, True])
def test_one_stage_alone_keeps_its_scores(lexical: bool) -> None:
    """And says which stage it was."""
    one, two = fusion.single(grouped(3, 1), lexical=lexical)
    evidence = (Evidence(1, 1.0), Evidence(2, 0.5))
    assert [one.row, two.row] == [30, 10]
    assert [one.score, two.score] == [1.0, 0.5]
    assert (one.lexical if lexical else one.dense, two.lexical if lexical else two.dense) == evidence
    assert (one.dense if lexical else one.lexical) is None


def test_fusion_by_hand() -> None:
    """Ranks a1 b2 c3 and c1 d2 a3 with k = 60."""
    a, b, c, d = 0, 1, 2, 3
    found = fuse(grouped(a, b, c), grouped(c, d, a, first_row=5))
    scores = {a: 1 / 61 + 1 / 63, c: 1 / 63 + 1 / 61, b: 1 / 62, d: 1 / 62}
    assert [candidate.score for candidate in found] == pytest.approx([scores[x] for x in (a, c, b, d)])
    # a and c tie, as b and d do: the better dense rank goes first, then whoever has a dense rank.
    # Each is shown by the passage of the list that ranks it higher.
    assert [candidate.row for candidate in found] == [0, 25, 10, 35]
    assert [candidate.dense and candidate.dense.rank for candidate in found] == [1, 3, 2, None]
    assert [candidate.lexical and candidate.lexical.rank for candidate in found] == [3, 1, None, 2]


def test_agreement_beats_one_first_place() -> None:
    """Second in both lists is better than first in one: 2/62 > 1/61."""
    found = fuse(grouped(1, 2), grouped(3, 2))
    assert [candidate.row // 10 for candidate in found] == [2, 1, 3]
    assert found[0].score == pytest.approx(2 / 62)


def test_a_small_k_favours_first_places() -> None:
    """With k = 1, first and nothing (1/2) ties with third and third (2/4), and beats fourth and fourth."""
    found = fuse(grouped(1, 5, 6, 2), grouped(7, 8, 9, 2), k=1)
    assert found[0].row // 10 == 1
    assert {candidate.row // 10: candidate.score for candidate in found}[2] == pytest.approx(2 / 5)


def test_one_empty_list_leaves_the_other() -> None:
    """A query of unknown words is answered by meaning alone."""
    nothing = grouped()
    assert [candidate.row for candidate in fuse(grouped(2, 1), nothing)] == [20, 10]
    assert [candidate.row for candidate in fuse(nothing, grouped(2, 1))] == [20, 10]
    assert fuse(nothing, nothing) == []


documents = st.lists(st.integers(0, 30), unique=True, max_size=20)


@given(documents, documents, st.integers(1, 100), st.integers(0, 40))
@settings(deadline=None, max_examples=200)
def test_fusion_keeps_its_promises(one: list[int], two: list[int], k: int, limit: int) -> None:
    """Each document once, at most `limit`; scores fall, as the formula says, whichever list is which."""
    found = fuse(grouped(*one), grouped(*two), k=k, limit=limit)
    shown = [candidate.row // 10 for candidate in found]
    assert len(shown) == len(set(shown)) == min(limit, len({*one, *two}))
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)
    for document, score in zip(shown, scores, strict=True):
        places = [ranked.index(document) for ranked in (one, two) if document in ranked]
        assert score == pytest.approx(sum(1 / (k + place + 1) for place in places))
    assert scores == [candidate.score for candidate in fuse(grouped(*two), grouped(*one), k=k, limit=limit)]


@given(documents, st.integers(1, 100))
@settings(deadline=None, max_examples=50)
def test_two_equal_lists_stay_as_they_are(ranked: list[int], k: int) -> None:
    """Agreement changes no order."""
    found = fuse(grouped(*ranked), grouped(*ranked), k=k)
    assert [candidate.row // 10 for candidate in found] == ranked
    assert all(candidate.dense == candidate.lexical for candidate in found)
