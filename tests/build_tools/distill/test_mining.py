"""Candidates are what an exhaustive search would allow, whatever the corpus."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from build_tools.distill import mining
from build_tools.distill.lessons import Candidates, Lesson
from build_tools.distill.mining import MOST_POSITIVES, Passages, mine, narrow
from build_tools.errors import BuildError
from build_tools.recipe_training import CandidatesSpec


@dataclass(frozen=True)
class World:
    """A corpus, queries and what answers them."""

    queries: Lesson
    passages: Passages
    positives: list[list[int]]


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Vectors of length 1."""
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def world(
    *,
    documents: int = 30,
    queries: int = 6,
    most_passages: int = 3,
    most_positives: int = 3,
    seed: int = 0,
) -> World:
    """Random vectors; each query's text is its number."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(documents), rng.integers(1, most_passages + 1, documents)).astype(np.int32)
    vectors = unit(rng.normal(size=(len(owners), 8)))
    targets = unit(rng.normal(size=(queries, 8)))
    positives = [
        rng.choice(documents, min(documents, rng.integers(0, most_positives + 1)), replace=False).tolist()
        for _ in range(queries)
    ]
    return World(Lesson([str(i) for i in range(queries)], targets), Passages(vectors, owners), positives)


def mined(made: World, spec: CandidatesSpec, *, seed: int = 0) -> Candidates:
    """The candidates of a world."""
    return mine(made.queries, made.passages, positives=made.positives, spec=spec, seed=seed)


def brute(made: World, query: int, positive: int | None, spec: CandidatesSpec) -> list[int]:
    """The rows that may stand beside the positive, best first, found by looking at every one."""
    cosines = made.passages.vectors @ made.queries.targets[query]
    limit = np.inf if positive is None else cosines[positive] - (1 - spec.margin) * abs(cosines[positive])
    allowed = [
        row
        for row, owner in enumerate(made.passages.owners.tolist())
        if owner not in made.positives[query] and cosines[row] <= limit
    ]
    return sorted(allowed, key=lambda row: -cosines[row])[: spec.depth]


@settings(deadline=None, max_examples=60)
@given(
    documents=st.integers(2, 60),
    count=st.integers(2, 9),
    extra_depth=st.integers(0, 30),
    margin=st.sampled_from([0.5, 0.95, 1.0, 1.3]),
    row_block=st.sampled_from([1, 7, 64]),
    seed=st.integers(0, 1000),
)
def test_agrees_with_looking_at_every_row(
    documents: int, count: int, extra_depth: int, margin: float, row_block: int, seed: int
) -> None:
    """In every list: no row twice, no answer but the positive, and no row that the filter forbids unless
    there are too few others.
    """
    made = world(documents=documents, seed=seed)
    # With queries that are all answered by the whole corpus there is nothing to mine: that is an error.
    assume(any(len(set(positives)) < documents for positives in made.positives))
    spec = CandidatesSpec(count=count, depth=count + extra_depth, margin=margin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "ROW_BLOCK", row_block)
        patch.setattr(mining, "QUERY_BLOCK", 2)
        candidates = mined(made, spec, seed=seed)
    width = candidates.rows.shape[1]
    for i, text in enumerate(candidates.texts):
        query, rows = int(text), candidates.rows[i].tolist()
        cosines = made.passages.vectors @ made.queries.targets[query]
        np.testing.assert_allclose(candidates.cosines[i], cosines[rows], atol=1e-6)
        assert len(set(rows)) == width
        owners = made.passages.owners[rows].tolist()
        assert candidates.labelled[i] == bool(made.positives[query])
        if candidates.labelled[i]:
            assert owners[0] in made.positives[query]
            best = max(np.flatnonzero(made.passages.owners == owners[0]), key=lambda row: cosines[row])
            assert rows[0] == best
        else:
            assert rows[0] == cosines.argmax()
        assert not set(owners[1:]) & set(made.positives[query])
        pool = brute(made, query, rows[0] if candidates.labelled[i] else None, spec)
        pool = [row for row in pool if row != rows[0]]
        outside = set(rows[1:]) - set(pool)
        assert len(outside) == max(0, width - 1 - len(pool))
        assert np.all(np.diff(candidates.cosines[i, 1:]) <= 1e-6)


def test_the_seed_decides() -> None:
    """The same seed gives the same rows; another gives others."""
    made, spec = world(documents=80), CandidatesSpec(count=5, depth=40, margin=2.0)
    first, again, other = mined(made, spec), mined(made, spec), mined(made, spec, seed=1)
    assert np.array_equal(first.rows, again.rows)
    assert first.texts == again.texts
    assert not np.array_equal(first.rows, other.rows)


def test_labelled_queries_come_first_and_are_the_last_to_go() -> None:
    """Of more queries than wanted, those with labels are kept."""
    made = world(queries=20, documents=40, seed=3)
    labelled = [i for i, found in enumerate(made.positives) if found]
    spec = CandidatesSpec(count=3, depth=5, queries=len(labelled) + 2)
    candidates = mined(made, spec)
    order = list(dict.fromkeys(int(text) for text in candidates.texts))
    assert order[: len(labelled)] == labelled
    assert len(order) == len(labelled) + 2
    assert candidates.labelled.tolist() == sorted(candidates.labelled.tolist(), reverse=True)
    fewer = mined(made, dataclasses.replace(spec, queries=4))
    assert fewer.labelled.all()
    assert len(set(fewer.texts)) == 4


def test_an_entry_for_each_positive_up_to_a_bound() -> None:
    """Repeated documents count once; the first ones are taken."""
    made = world(documents=40)
    positives = [[3, 7, 3, 9, 11, 13, 15], [], [], [], [], []]
    candidates = mine(
        made.queries, made.passages, positives=positives, spec=CandidatesSpec(count=4, depth=8), seed=0
    )
    assert candidates.labelled.sum() == MOST_POSITIVES
    assert made.passages.owners[candidates.rows[:MOST_POSITIVES, 0]].tolist() == [3, 7, 9, 11]


def test_near_answers_of_the_teacher_are_left_out() -> None:
    """Row 1 is a paraphrase of the answer, row 0; it is no negative of it, unless the margin allows it."""
    angles = np.radians([10.0, 11.0, 40.0, 50.0, 60.0])
    passages = Passages(unit(np.column_stack([np.cos(angles), np.sin(angles)])), np.arange(5, dtype=np.int32))
    lesson = Lesson(["q"], unit(np.array([[1.0, 0.0]])))
    spec = CandidatesSpec(count=4, depth=4, margin=0.95)
    rows = mine(lesson, passages, positives=[[0]], spec=spec, seed=0).rows
    assert rows.tolist() == [[0, 2, 3, 4]]
    lenient = dataclasses.replace(spec, margin=1.5, depth=3, count=3)
    seen = {
        row
        for seed in range(20)
        for row in mine(lesson, passages, positives=[[0]], spec=lenient, seed=seed).rows[0]
    }
    assert seen == {0, 1, 2, 3}


def test_unlabelled_lists_hold_the_best_and_some_deeper() -> None:
    """The first half is the teacher's own order; the rest is drawn from the remaining depth."""
    made = world(documents=200, queries=4, most_positives=0)
    spec = CandidatesSpec(count=8, depth=50)
    candidates = mined(made, spec)
    assert not candidates.labelled.any()
    for i in range(4):
        best = brute(made, i, None, spec)
        assert candidates.rows[i, :4].tolist() == best[:4]
        assert set(candidates.rows[i, 4:].tolist()) <= set(best[4:])


def test_proposed_rows_make_half_of_the_negatives() -> None:
    """They pass the same filter: answers among them are dropped."""
    made = world(documents=300, queries=2, most_passages=1)
    order = [np.argsort(made.passages.vectors @ target) for target in made.queries.targets]
    made = dataclasses.replace(made, positives=[[int(rows[-1])] for rows in order])
    proposed = [np.concatenate([rows[-1:], rows[:30]]) for rows in order]
    spec = CandidatesSpec(count=9, depth=20)
    candidates = mine(
        made.queries, made.passages, positives=made.positives, spec=spec, seed=0, proposed=proposed
    )
    for i in (0, 1):
        taken = candidates.rows[i, 1:]
        assert np.isin(taken, proposed[i][1:]).sum() == 4
        assert np.isin(taken, brute(made, i, made.positives[i][0], spec)).sum() == 4


def test_a_corpus_smaller_than_the_list() -> None:
    """Lists are as long as the corpus allows, and hold every row that is no answer."""
    made = world(documents=4, most_passages=1, queries=1)
    spec = CandidatesSpec(count=8, depth=8)
    candidates = mine(made.queries, made.passages, positives=[[1, 2]], spec=spec, seed=0)
    assert candidates.rows[:, 0].tolist() == [1, 2]
    assert [sorted(rows) for rows in candidates.rows[:, 1:].tolist()] == [[0, 3], [0, 3]]


def test_a_query_whose_answers_are_the_whole_corpus_is_left_out() -> None:
    """It has nothing to tell an answer from, and must not shorten the lists of others."""
    made = world(documents=12, most_passages=1, queries=2)
    spec = CandidatesSpec(count=4, depth=4)
    candidates = mine(made.queries, made.passages, positives=[list(range(12)), [3]], spec=spec, seed=0)
    assert candidates.texts == ["1"]
    assert candidates.rows.shape == (1, 4)


@pytest.mark.parametrize(("queries", "positives"), [(0, []), (1, [[0, 1]])])
def test_nothing_to_mine(queries: int, positives: list[list[int]]) -> None:
    """One clear error."""
    made = world(documents=2, most_passages=1, queries=max(queries, 1))
    lesson = Lesson(made.queries.texts[:queries], made.queries.targets[:queries])
    with pytest.raises(
        BuildError, match=rf"mining: {queries} queries and 2 passages; expected a query or more"
    ):
        mine(lesson, made.passages, positives=positives, spec=CandidatesSpec(count=2, depth=2), seed=0)


def scored(scores: list[list[float]], labelled: list[bool]) -> Candidates:
    """Candidates whose rows are their columns."""
    values = np.array(scores, np.float32)
    rows = np.broadcast_to(np.arange(values.shape[1]), values.shape).copy()
    texts = [str(i) for i in range(len(scores))]
    return Candidates(texts, rows, np.array(labelled), -rows.astype(np.float32), values)


def test_narrow_leaves_out_what_the_cross_encoder_calls_relevant() -> None:
    """Columns 1 and 3 score as the answer does; where too few are left, the least relevant comes back."""
    candidates = scored([[4, 5, -3, 4, -9]], [True])
    assert narrow(candidates, count=3, margin=0.95).rows.tolist() == [[0, 2, 4]]
    assert narrow(candidates, count=4, margin=0.95).rows.tolist() == [[0, 2, 3, 4]]
    kept = narrow(candidates, count=3, margin=0.95)
    assert kept.scores is not None
    assert kept.scores.tolist() == [[4, -3, -9]]
    assert kept.cosines.tolist() == [[0, -2, -4]]


def test_narrow_thins_unlabelled_lists_evenly() -> None:
    """First and last stay, whatever the scores, however extreme."""
    candidates = scored([[-1000, 1000, 5, 5, 5]], [False])
    assert narrow(candidates, count=3, margin=0.95).rows.tolist() == [[0, 2, 4]]


@pytest.mark.parametrize("count", [2, 6])
def test_narrow_needs_scores_and_columns(count: int) -> None:
    """A mistake of the caller."""
    candidates = scored([[1, 2, 3]], [True])
    if count == 2:
        candidates = dataclasses.replace(candidates, scores=None)
    with pytest.raises(ValueError, match=f"expected scored candidates with at least {count} columns"):
        narrow(candidates, count=count, margin=0.95)
