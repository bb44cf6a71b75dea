"""What the losses of a recipe read, and what they cannot do without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from build_tools.distill.batches import CandidateExamples, Examples
from build_tools.distill.sources import select
from build_tools.errors import BuildError
from build_tools.recipe_training import LossWeights, TrainingSpec

TEXTS = Examples([[1]], np.ones((1, 4), np.float32))
HELD_OUT = Examples([[2]], np.ones((1, 4), np.float32))
QUERIES = CandidateExamples(
    tokens=[[number] for number in range(20)],
    rows=np.tile(np.arange(3), (20, 1)),
    labelled=np.arange(20) < 10,
    cosines=np.zeros((20, 3), np.float32),
    documents=np.eye(4, dtype=np.float32),
    scores=np.zeros((20, 3), np.float32),
)


def spec(**weights: float) -> TrainingSpec:
    return TrainingSpec(losses=LossWeights(**({"cosine": 0.0} | weights)), cross_encoder="given")


def test_alignment_alone_reads_no_candidates() -> None:
    """Even if there are some."""
    sources = select(TEXTS, HELD_OUT, QUERIES, spec(l2=1))
    assert (sources.texts, sources.candidates, sources.held_out_candidates) == (TEXTS, None, None)


def test_with_alignment_a_tenth_is_held_out() -> None:
    """The held-out cosine alone would not say what the other losses bring."""
    sources = select(TEXTS, HELD_OUT, QUERIES, spec(cosine=1, listwise=1))
    assert sources.texts == TEXTS
    assert sources.candidates is not None
    assert sources.held_out_candidates is not None
    assert (len(sources.candidates.tokens), len(sources.held_out_candidates.tokens)) == (18, 2)


def test_without_alignment_a_tenth_is_held_out() -> None:
    """Of the queries that a loss can read: contrastive alone reads the labelled ones."""
    sources = select(TEXTS, HELD_OUT, QUERIES, spec(listwise=1, contrastive=1))
    assert sources.texts is None
    assert sources.candidates is not None
    assert sources.held_out_candidates is not None
    assert (len(sources.candidates.tokens), len(sources.held_out_candidates.tokens)) == (18, 2)
    labelled = select(TEXTS, HELD_OUT, QUERIES, spec(contrastive=1))
    assert labelled.candidates is not None
    assert labelled.held_out_candidates is not None
    assert (len(labelled.candidates.tokens), len(labelled.held_out_candidates.tokens)) == (9, 1)
    assert labelled.candidates.labelled.all()


@pytest.mark.parametrize(
    ("candidates", "weights", "message"),
    [
        (None, {"listwise": 1}, "queries with candidate documents, and there are none"),
        (QUERIES.take(np.arange(0)), {"listwise": 1}, "there are none; raise training.candidates.queries"),
        (replace(QUERIES, rows=QUERIES.rows[:, :1]), {"listwise": 1}, "found one candidate a query"),
        (replace(QUERIES, scores=None), {"kl": 1}, "name one as training.cross_encoder"),
        (
            QUERIES.take(np.arange(10, 20)),
            {"triplet": 1, "listwise": 1},
            "none of the 10 queries has one. Look at queries.labels",
        ),
        (
            replace(QUERIES, scores=np.diag([1, np.nan, 1])[:, :3].astype(np.float32)),
            {"kl": 1},
            r"the cross-encoder scores the candidates of query 1 \[0.0, nan, 0.0\]; expected numbers",
        ),
        (replace(QUERIES, cosines=np.full((20, 3), np.inf)), {"listwise": 1}, "the teacher scores the cand"),
    ],
)
def test_nothing_to_learn_from(
    candidates: CandidateExamples | None, weights: dict[str, float], message: str
) -> None:
    """One clear error, with what to change."""
    with pytest.raises(BuildError, match=message):
        select(TEXTS, HELD_OUT, candidates, spec(cosine=1, **weights))


def test_no_texts() -> None:
    """Alignment cannot do without."""
    with pytest.raises(BuildError, match=r"no text to learn from; raise queries\.generated"):
        select(Examples([], np.empty((0, 4), np.float32)), HELD_OUT, None, spec(cosine=1))
