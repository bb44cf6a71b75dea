"""Two rankings to one: reciprocal ranks by hand, and scores under a weight that each query finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import fusion
from edge_runtime.candidates import Candidate, Grouped
from edge_runtime.fusion import LEAD_PULL, USUAL_LEAD, WORDS_PULL, dense_weight
from edge_runtime.manifest import FusionSpec
from edge_runtime.word_scores import Postings, WordScores, add_up

WEIGHTED = FusionSpec(method="weighted", balance=0.0, cosine_mean=0.1, cosine_spread=0.1)


def grouped(*documents: int, first_row: int = 0) -> Grouped:
    """These documents, each by a row of its own: ten times its number and `first_row`."""
    rows = np.array(documents, np.int64) * 10 + first_row
    scores = np.linspace(1, 0.5, len(documents), dtype=np.float32)
    return Grouped(np.array(documents, np.int32), rows, scores)


def by_rank(dense: Grouped, lexical: Grouped, *, k: int = 60, limit: int = 100) -> list[Candidate]:
    return fusion.by_rank(dense, lexical, k=k, limit=limit)


def test_fusion_by_hand() -> None:
    """Ranks a1 b2 c3 and c1 d2 a3 with k = 60."""
    a, b, c, d = 0, 1, 2, 3
    found = by_rank(grouped(a, b, c), grouped(c, d, a, first_row=5))
    scores = {a: 1 / 61 + 1 / 63, c: 1 / 63 + 1 / 61, b: 1 / 62, d: 1 / 62}
    assert [candidate.score for candidate in found] == pytest.approx([scores[x] for x in (a, c, b, d)])
    # a and c tie, as b and d do: the better dense rank goes first, then whoever has a dense rank.
    # Each is shown by the passage of the list that ranks it higher.
    assert [candidate.row for candidate in found] == [0, 25, 10, 35]
    assert [candidate.dense and candidate.dense.rank for candidate in found] == [1, 3, 2, None]
    assert [candidate.lexical and candidate.lexical.rank for candidate in found] == [3, 1, None, 2]


def test_agreement_beats_one_first_place() -> None:
    """Second in both lists is better than first in one: 2/62 > 1/61."""
    found = by_rank(grouped(1, 2), grouped(3, 2))
    assert [candidate.row // 10 for candidate in found] == [2, 1, 3]
    assert found[0].score == pytest.approx(2 / 62)


def test_a_small_k_favours_first_places() -> None:
    """With k = 1, first and nothing (1/2) ties with third and third (2/4), and beats fourth and fourth."""
    found = by_rank(grouped(1, 5, 6, 2), grouped(7, 8, 9, 2), k=1)
    assert found[0].row // 10 == 1
    assert {candidate.row // 10: candidate.score for candidate in found}[2] == pytest.approx(2 / 5)


def test_one_empty_list_leaves_the_other() -> None:
    """A query of unknown words is answered by meaning alone."""
    nothing = grouped()
    assert [candidate.row for candidate in by_rank(grouped(2, 1), nothing)] == [20, 10]
    assert [candidate.row for candidate in by_rank(nothing, grouped(2, 1))] == [20, 10]
    assert by_rank(nothing, nothing) == []


documents = st.lists(st.integers(0, 30), unique=True, max_size=20)


@given(documents, documents, st.integers(1, 100), st.integers(0, 40))
@settings(deadline=None, max_examples=200)
def test_fusion_keeps_its_promises(one: list[int], two: list[int], k: int, limit: int) -> None:
    """Each document once, at most `limit`; scores fall, as the formula says, whichever list is which."""
    found = by_rank(grouped(*one), grouped(*two), k=k, limit=limit)
    shown = [candidate.row // 10 for candidate in found]
    assert len(shown) == len(set(shown)) == min(limit, len({*one, *two}))
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)
    for document, score in zip(shown, scores, strict=True):
        places = [ranked.index(document) for ranked in (one, two) if document in ranked]
        assert score == pytest.approx(sum(1 / (k + place + 1) for place in places))
    assert scores == [
        candidate.score for candidate in by_rank(grouped(*two), grouped(*one), k=k, limit=limit)
    ]


@given(documents, st.integers(1, 100))
@settings(deadline=None, max_examples=50)
def test_two_equal_lists_stay_as_they_are(ranked: list[int], k: int) -> None:
    """Agreement changes no order."""
    found = by_rank(grouped(*ranked), grouped(*ranked), k=k)
    assert [candidate.row // 10 for candidate in found] == ranked
    assert all(candidate.dense == candidate.lexical for candidate in found)
    assert [candidate.score for candidate in found] == pytest.approx(
        [2 * candidate.dense.part for candidate in found if candidate.dense]
    )


def scored(*pairs: tuple[int, float]) -> Grouped:
    """Documents of one passage each, whose row is their number, with these scores."""
    documents = np.array([document for document, _ in pairs], np.int32)
    return Grouped(documents, documents.astype(np.int64), np.array([score for _, score in pairs], np.float32))


def words_of(totals: NDArray[np.float32]) -> tuple[Grouped, WordScores]:
    """All that words say, and the list of what they find, of passages that are documents."""
    rows = np.flatnonzero(totals > 0).astype(np.uint32)
    scores = add_up([Postings(rows, totals[rows])] if len(rows) else [], np.zeros_like(totals))
    best = scores.best(len(totals))
    return Grouped(best.rows.astype(np.int32), best.rows, best.scores), scores


def totals(count: int, **scores: float) -> NDArray[np.float32]:
    """BM25 scores of `count` passages: 0 but for p3=2.0 and the like."""
    found = np.zeros(count, np.float32)
    for name, score in scores.items():
        found[int(name[1:])] = score
    return found


def by_score(dense: Grouped, found: NDArray[np.float32], spec: FusionSpec = WEIGHTED) -> list[Candidate]:
    words, scores = words_of(found)
    return fusion.fuse(dense, words, scores, spec=spec, limit=100)


def test_scores_by_hand() -> None:
    """Sixteen passages, two with words; meaning leads by .8 over the mean of .1, words by 8 over .75."""
    found = by_score(scored((0, 0.9), (1, 0.5), (2, 0.4)), totals(16, p1=8.0, p3=4.0))
    weight = 1 / (1 + math.exp(WORDS_PULL * 2 / 16 - LEAD_PULL * (8 - USUAL_LEAD)))
    meaning = math.sqrt(0.1 * 0.8)
    words = math.sqrt(np.std([8, 4] + [0] * 14) * (8 - 0.75))
    expected = {
        0: weight * 0.5 / meaning,
        1: weight * 0.1 / meaning + (1 - weight) * 8 / words,
        2: 0.0,
        3: (1 - weight) * 4 / words,
    }
    assert {candidate.row: candidate.score for candidate in found} == pytest.approx(expected, rel=1e-5)
    assert [candidate.row for candidate in found] == sorted(expected, key=lambda d: -expected[d])


def test_each_hit_says_what_its_score_is_made_of() -> None:
    """Rank, score and part of either stage; words that stand beyond the word list have no rank."""
    dense = scored((0, 0.9), (1, 0.5))
    _, scores = words_of(totals(4, p0=1.0, p1=8.0))
    only_best = scored((1, 8.0))
    one, two = fusion.fuse(dense, only_best, scores, spec=WEIGHTED, limit=10)
    assert [one.row, two.row] == [1, 0]
    ranks = [(found.dense and found.dense.rank, found.lexical and found.lexical.rank) for found in (one, two)]
    assert ranks == [(2, 1), (1, None)]
    for found in (one, two):
        parts = [evidence.part for evidence in (found.dense, found.lexical) if evidence]
        assert len(parts) == 2
        assert found.score == sum(parts)


def test_a_rare_word_that_one_passage_has_goes_first() -> None:
    """An error code is found by its letters, whatever the vectors say."""
    dense = scored(*((document, 0.5 - document / 1000) for document in range(100)))
    found = by_score(dense, totals(5000, p4000=12.0), FusionSpec(method="weighted", cosine_spread=0.1))
    assert found[0].row == 4000
    assert found[0].dense is None


def test_common_words_do_not_overrule_a_clear_nearest() -> None:
    """Where all passages share the words alike, meaning decides."""
    dense = scored((7, 0.9), (3, 0.4), (5, 0.3))
    assert [c.row for c in by_score(dense, np.full(10, 2.0, np.float32))][:3] == [7, 3, 5]


def test_no_shared_word_leaves_the_dense_order() -> None:
    """And no score is divided by zero."""
    dense = scored((2, 0.9), (1, 0.5), (0, -0.4))
    found = by_score(dense, totals(5))
    assert [candidate.row for candidate in found] == [2, 1, 0]
    assert all(candidate.lexical is None for candidate in found)


def test_nothing_is_near() -> None:
    """A query unlike everything has no lead in meaning: noise is not stretched into one."""
    dense = scored((0, 0.1001), (1, 0.1))
    (best, *_) = by_score(dense, totals(3, p2=0.01))
    assert best.row == 2


def test_one_passage_in_all() -> None:
    """The smallest corpus there is."""
    (only,) = by_score(scored((0, 0.3)), totals(1, p0=2.0))
    assert only.row == 0
    assert math.isfinite(only.score)


@pytest.mark.parametrize(("tilt", "balance"), [(0.0, 0.0), (-1.4, 1.4), (2.0, -2.0)])
def test_an_even_weight(tilt: float, balance: float) -> None:
    """The corpus' balance holds against what the query says."""
    assert dense_weight(tilt, balance) == pytest.approx(0.5)


def test_what_a_query_says() -> None:
    """For meaning where the nearest stands out, against it where many passages have its words."""
    _, half = words_of(np.array([1, 1, 0, 0], np.float32))
    usual = 0.1 + 0.1 * USUAL_LEAD
    for best, expected in ((usual, 0.0), (usual + 0.1, LEAD_PULL), (-1.0, LEAD_PULL * (1 - USUAL_LEAD))):
        found = fusion.tilt(scored((0, best)), half, WEIGHTED)
        assert found == pytest.approx(expected - WORDS_PULL / 2, abs=1e-6)
    assert fusion.tilt(scored(), half, WEIGHTED) == pytest.approx(
        LEAD_PULL * (1 - USUAL_LEAD) - WORDS_PULL / 2
    )


def test_the_balance_tips() -> None:
    """To meaning alone on one side, to words alone on the other."""
    dense, found = scored((0, 0.9), (1, 0.5)), totals(3, p1=5.0, p2=4.0)
    ends = [by_score(dense, found, FusionSpec(method="weighted", balance=end)) for end in (20.0, -20.0)]
    assert [[candidate.row for candidate in ranked][:2] for ranked in ends] == [[0, 1], [1, 2]]


cosines = st.lists(st.floats(-1, 1, width=32), max_size=20)
bm25 = st.lists(st.floats(0, 100, width=32), min_size=20, max_size=40)


@given(cosines, bm25, st.floats(-20, 20), st.integers(1, 50))
@settings(deadline=None, max_examples=200)
def test_fusion_by_scores_keeps_its_promises(
    near: list[float], found: list[float], balance: float, limit: int
) -> None:
    """Every document once, finite scores that fall and are the sum of their parts, none of them negative."""
    dense = scored(*enumerate(sorted(near, reverse=True)))
    words, scores = words_of(np.array(found, np.float32))
    spec = FusionSpec(method="weighted", balance=balance, cosine_mean=0.1, cosine_spread=0.05)
    fused = fusion.fuse(dense, words, scores, spec=spec, limit=limit)
    rows = [candidate.row for candidate in fused]
    assert len(rows) == len(set(rows)) == min(limit, len({*dense.rows.tolist(), *words.rows.tolist()}))
    ranked = [candidate.score for candidate in fused]
    assert ranked == sorted(ranked, reverse=True)
    for candidate in fused:
        parts = [evidence.part for evidence in (candidate.dense, candidate.lexical) if evidence]
        assert candidate.score == sum(parts)
        assert all(math.isfinite(part) and part >= 0 for part in parts)
