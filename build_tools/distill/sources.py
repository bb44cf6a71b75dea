"""What one student's training draws on: checked against the losses that the recipe asks for, and split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from build_tools.distill.batches import CandidateExamples, Examples
from build_tools.errors import BuildError
from build_tools.recipe_training import LossWeights, TrainingSpec

HELD_OUT_QUERIES = 0.1
"""Share of the queries with candidates that is measured on."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Texts and queries to learn from and to measure on; None where no loss reads them.

    Attributes:
        held_out_candidates: a student may well rank better than its teacher from another place, so that
            where any loss ranks, the held-out cosine alone says too little.
    """

    held_out: Examples
    texts: Examples | None = None
    candidates: CandidateExamples | None = None
    held_out_candidates: CandidateExamples | None = None


def select(
    texts: Examples, held_out: Examples, candidates: CandidateExamples | None, spec: TrainingSpec
) -> Sources:
    """Those that the recipe's losses read.

    Raises:
        BuildError: a loss has nothing to learn from, or a teacher's figure is not a number.
    """
    losses = spec.losses
    if not losses.needs_candidates:
        return Sources(held_out, _some(texts))
    rest, held = _usable(candidates, losses).hold_out(HELD_OUT_QUERIES, seed=spec.seed)
    return Sources(held_out, _some(texts) if losses.needs_alignment else None, rest, held)


def _some(texts: Examples) -> Examples:
    if not len(texts.tokens):
        raise BuildError("training: there is no text to learn from; raise queries.generated")
    return texts


def _usable(candidates: CandidateExamples | None, losses: LossWeights) -> CandidateExamples:
    """The queries that one of the losses can learn from."""
    if candidates is None or not len(candidates.tokens):
        raise BuildError(
            "training.losses: all but cosine and l2 learn from queries with candidate documents, and there "
            "are none; raise training.candidates.queries or queries.generated"
        )
    if candidates.rows.shape[1] < 2:
        raise BuildError(
            "training.losses: all but cosine and l2 tell documents apart; found one candidate a query"
        )
    _check_scores(candidates, losses)
    if not losses.needs_pairs:
        return candidates
    if not candidates.labelled.any():
        raise BuildError(
            "training.losses: contrastive and triplet learn from labelled pairs; none of the "
            f"{len(candidates.tokens)} queries has one. Look at queries.labels."
        )
    if losses.needs_cross_encoder or losses.listwise > 0:
        return candidates
    return candidates.take(np.flatnonzero(candidates.labelled))


def _check_scores(candidates: CandidateExamples, losses: LossWeights) -> None:
    if losses.needs_cross_encoder and candidates.scores is None:
        raise BuildError(
            "training.losses: margin_mse, kl and preference learn from a cross-encoder's scores, and the "
            "candidates have none; name one as training.cross_encoder"
        )
    for teacher, figures in (("teacher", candidates.cosines), ("cross-encoder", candidates.scores)):
        if figures is not None and not np.isfinite(figures).all():
            row = int(np.flatnonzero(~np.isfinite(figures).all(1))[0])
            raise BuildError(
                f"training: the {teacher} scores the candidates of query {row} {figures[row].tolist()}; "
                "expected numbers. Use another, or leave out the losses that read it."
            )
