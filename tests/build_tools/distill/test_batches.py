"""The order of batches, their padding, and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.distill import batches
from build_tools.distill.batches import (
    CandidateBatch,
    CandidateExamples,
    Examples,
    alignment_batches,
    candidate_batches,
    held_out_batches,
    pad,
)
from build_tools.errors import BuildError

DOCUMENTS = np.eye(20, dtype=np.float32)


def texts(count: int) -> Examples:
    """Texts of one to seven tokens; a target says which text it is of."""
    tokens = [[row + 1] * (row % 7 + 1) for row in range(count)]
    return Examples(tokens, np.arange(count, dtype=np.float32)[:, None])


def queries(count: int, labelled: int) -> CandidateExamples:
    """Queries with three documents; the first ones are labelled."""
    rows = (np.arange(count)[:, None] + np.arange(3)) % 20
    scores = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
    return CandidateExamples(
        texts(count).tokens, rows, np.arange(count) < labelled, -scores, DOCUMENTS, scores
    )


def test_pad() -> None:
    """Zeros and a mask of zeros after the end."""
    ids, mask = pad([[5, 6, 0], [7], [], [8, 9]])
    assert ids.tolist() == [[5, 6, 0], [7, 0, 0], [0, 0, 0], [8, 9, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]]


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 9), st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_an_epoch_holds_each_text_at_most_once(count: int, size: int, seed: int, share: float) -> None:
    """All batches of a group are full, and as many as fit; no batch mixes groups."""
    cut = int(count * share)
    groups = [group for group in (np.arange(cut), np.arange(cut, count)) if len(group)]
    lengths = np.arange(count) % 7 + 1
    epoch = batches._epoch(lengths, groups, size, np.random.default_rng(seed))
    for group in groups:
        of_group = [batch for batch in epoch if batch[0] in group]
        full = min(size, len(group))
        assert [len(batch) for batch in of_group] == [full] * (len(group) // full)
        rows = np.concatenate(of_group)
        assert len(set(rows.tolist())) == len(rows)
        assert np.isin(rows, group).all()


def test_every_text_has_its_turn() -> None:
    """What an epoch leaves over is no more often long than short."""
    lengths = np.arange(60)
    rng = np.random.default_rng(0)
    seen = [np.concatenate(batches._epoch(lengths, [np.arange(60)], 32, rng)) for _ in range(20)]
    assert set(np.concatenate(seen).tolist()) == set(range(60))


@pytest.mark.parametrize("start", [0, 1, 3, 4, 17])
def test_a_later_start_is_the_same_order(start: int) -> None:
    """Within an epoch, at its end, and epochs later."""

    def aligned(first: int) -> list[list[float]]:
        found = alignment_batches(texts(30), 8, seed=3, start=first)
        return [batch.targets[:, 0].tolist() for batch in islice(found, 20 - first)]

    def ranked(first: int) -> list[list[list[float]]]:
        found = candidate_batches(queries(30, 13), 8, seed=3, start=first)
        return [batch.cosines.tolist() for batch in islice(found, 20 - first)]

    assert aligned(start) == aligned(0)[start:]
    assert ranked(start) == ranked(0)[start:]


def test_texts_of_a_batch_are_of_similar_length() -> None:
    """Here of three lengths at most out of seven."""
    for batch in islice(alignment_batches(texts(70), 10, seed=0, start=0), 7):
        lengths = batch.mask.sum(1)
        assert lengths.max() - lengths.min() <= 1
        assert (batch.ids[:, 0] == batch.targets[:, 0] + 1).all()


def check(batch: CandidateBatch) -> list[int]:
    """The queries of a batch, after a look at what goes with each."""
    rows = (batch.ids[:, 0] - 1).tolist()
    assert batch.scores is not None
    assert (batch.scores[:, 0] == batch.ids[:, 0] * 3 - 3).all()
    assert (batch.cosines == -batch.scores).all()
    documents = batch.documents.numpy()
    assert documents.shape == (len(rows), 3, 20)
    assert documents.argmax(2).tolist() == [[(row + k) % 20 for k in range(3)] for row in rows]
    assert len(set(batch.labelled.tolist())) == 1
    return rows


def test_candidate_batches() -> None:
    """Each query with its own documents; labelled queries with their like."""
    examples = queries(30, labelled=12)
    found = list(islice(candidate_batches(examples, 8, seed=0, start=0), 30))
    for batch in found:
        rows = check(batch)
        assert batch.labelled.tolist() == [row < 12 for row in rows]
        assert len(rows) == 8
    assert {bool(batch.labelled[0]) for batch in found} == {True, False}


def test_held_out_batches() -> None:
    """Every query once, and the same each time."""
    examples = queries(30, labelled=12)
    rows = [check(batch) for batch in held_out_batches(examples, 8)]
    assert [len(part) for part in rows] == [8, 4, 8, 8, 2]
    assert sorted(row for part in rows for row in part) == list(range(30))
    assert rows == [check(batch) for batch in held_out_batches(examples, 8)]


def test_mapped_documents_of_another_kind() -> None:
    """Half precision, say: a batch is float32 all the same."""
    examples = queries(4, labelled=4)
    half = CandidateExamples(
        examples.tokens, examples.rows, examples.labelled, examples.cosines, DOCUMENTS.astype(np.float16)
    )
    (batch,) = held_out_batches(half, 8)
    assert batch.documents.numpy().dtype == np.float32
    assert batch.scores is None


@pytest.mark.parametrize("seed", range(5))
def test_hold_out(seed: int) -> None:
    """A query that has several positives is on one side only."""
    examples = queries(40, labelled=40)
    repeated = examples.take(np.arange(80) % 40)
    training, held_out = repeated.hold_out(0.1, seed=seed)
    assert (len(training.tokens), len(held_out.tokens)) == (72, 8)
    assert not {tuple(query) for query in training.tokens} & {tuple(query) for query in held_out.tokens}
    again = repeated.hold_out(0.1, seed=seed)[1]
    assert again.tokens == held_out.tokens
    assert len(queries(2, 0).hold_out(0.1, seed=seed)[1].tokens) == 1


@pytest.mark.parametrize("make", [lambda one: one, lambda one: one.take(np.zeros(9, np.int64))])
def test_one_query_cannot_be_held_out(make: Callable[[CandidateExamples], CandidateExamples]) -> None:
    """Once or nine times."""
    with pytest.raises(BuildError, match="expected two or more different queries with candidates; found 1"):
        make(queries(1, labelled=1)).hold_out(0.1, seed=0)
