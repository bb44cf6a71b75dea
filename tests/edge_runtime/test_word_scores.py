"""Scores that are added up posting by posting are those of a plain sum over all passages, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.allowed import Allowed
from edge_runtime.word_scores import Postings, WordScores, add_up

PASSAGES = 600


def postings(rows: list[int], scores: list[float]) -> Postings:
    return Postings(np.array(rows, np.uint32), np.array(scores, np.float32))


@st.composite
def queries(draw: st.DrawFn) -> list[Postings]:
    """Lists of a few or of hundreds of postings, with many equal scores, some of them twice."""
    seed, lengths = draw(st.integers(0, 10_000)), draw(st.lists(st.sampled_from([1, 5, 80, 500]), max_size=6))
    chance, levels = np.random.default_rng(seed), draw(st.sampled_from([1, 3, 1000]))
    found = []
    for length in lengths:
        rows = np.sort(chance.choice(PASSAGES, length, replace=False)).astype(np.uint32)
        scores = chance.integers(1, levels + 1, length).astype(np.float32) / np.float32(7)
        found.append(Postings(rows, scores))
    return found + draw(st.sampled_from([[], found[:1]]))


def plain(lists: list[Postings]) -> NDArray[np.float32]:
    totals = np.zeros(PASSAGES, np.float32)
    for each in lists:
        totals[each.rows] += each.scores
    return totals


def ranked(totals: NDArray[np.float32], mask: NDArray[np.bool_], count: int) -> tuple[list[int], list[float]]:
    rows = [row for row in np.lexsort((np.arange(PASSAGES), -totals)) if totals[row] > 0 and mask[row]]
    return [int(row) for row in rows[:count]], [float(totals[row]) for row in rows[:count]]


@settings(deadline=None, max_examples=300)
@given(queries(), st.sampled_from([1, 2, 10, 100, PASSAGES]), st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]))
def test_the_first_places(lists: list[Postings], count: int, share: float | None) -> None:
    """Rows, order, ties and scores, of all passages and of those that a filter leaves."""
    scores = add_up(lists, np.zeros(PASSAGES, np.float32))
    mask = np.random.default_rng(1).random(PASSAGES) < (1 if share is None else share)
    allowed = None if share is None else Allowed(mask, int(mask.sum()), int(mask.sum()))
    best = scores.best(count, allowed=allowed)
    assert (best.rows.tolist(), best.scores.tolist()) == ranked(plain(lists), mask, count)
    assert (best.rows.dtype, best.scores.dtype) == (np.int64, np.float32)


@settings(deadline=None, max_examples=100)
@given(queries())
def test_what_fusion_asks_for(lists: list[Postings]) -> None:
    """Single passages' scores to the bit; the share exactly; mean and deviation as near as float32 goes."""
    scores, totals = add_up(lists, np.zeros(PASSAGES, np.float32)), plain(lists)
    some = np.random.default_rng(2).permutation(PASSAGES)[:50]
    assert scores.of(some).tolist() == totals[some].tolist()
    assert scores.share == np.count_nonzero(totals) / PASSAGES
    assert scores.best_score == totals.max()
    double = totals.astype(np.float64)
    assert scores.moments() == pytest.approx((double.mean(), double.std()), rel=1e-4, abs=1e-6)


def test_the_cells_are_handed_back_empty() -> None:
    """Also where lists overlap."""
    cells = np.zeros(8, np.float32)
    add_up([postings([1, 5], [2, 3]), postings([0, 5], [1, 1])], cells)
    assert not cells.any()


def test_no_terms() -> None:
    """Nothing is found, and nothing divides by nothing."""
    scores = add_up([], np.zeros(4, np.float32))
    assert (scores.share, scores.best_score, scores.moments()) == (0, 0, (0, 0))
    assert scores.of(np.array([3])).tolist() == [0]
    assert len(scores.best(3)) == 0


def test_a_passage_in_every_list() -> None:
    """It takes the places of the highest sums many times over, and leaves the others theirs all the same."""
    lists = [postings([0, 1, 2, 3], [9, 1, 2, 3]), *[postings([0], [9])] * 20]
    scores: WordScores = add_up(lists, np.zeros(4, np.float32))
    assert scores.best(2).rows.tolist() == [0, 3]
