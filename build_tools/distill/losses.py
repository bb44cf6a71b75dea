"""What training minimises: the weighted sum of a recipe's losses.

Documents are frozen vectors, so only queries pass through the student, once a batch for all losses
together. The losses are those of sentence-transformers, given vectors instead of texts; RankNet is ours,
since theirs is for cross-encoders. Where the batch is larger than fits in memory, its GradCache (Gao et al.
2021, arXiv 2101.06983) gives the same gradient from mini-batches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from sentence_transformers.base.losses import CachedLossMixin
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    EmbedDistillLoss,
    MarginMSELoss,
    MultipleNegativesRankingLoss,
    TripletDistanceMetric,
    TripletLoss,
)
from sentence_transformers.util import dot_score, pairwise_dot_score
from torch import Tensor, nn

from build_tools.distill.batches import AlignmentBatch, CandidateBatch
from build_tools.precision import Encode
from build_tools.recipe_training import LossWeights

TRIPLET_MARGIN = 0.1
"""Of cosine distances: FaceNet's 0.2 of squared Euclidean ones, which are twice those (arXiv 1503.03832)."""

SAME_DOCUMENT = 0.999
"""Cosine from which two documents are one, or copies of it."""

LEAST_SPREAD = 1e-4
"""Standard deviation under which a cross-encoder's scores of one list are rounding, not preference."""

Terms = Mapping[str, Callable[[], Tensor]]


class Objective:
    """The losses of one student.

    Args:
        student: its forward pass.
        temperature: of every softmax over cosines.
        mini_batch_size: queries that pass through the student at once while gradients are kept.
    """

    def __init__(
        self, student: Encode, weights: LossWeights, *, temperature: float, mini_batch_size: int
    ) -> None:
        self._student, self._weights = student, weights
        self._temperature, self._mini_batch_size = temperature, mini_batch_size
        model: Any = student  # they only keep it, and are never asked to run it
        self._model = model
        self._cosine = EmbedDistillLoss(model, distance_metric="cosine")
        self._l2 = EmbedDistillLoss(model, distance_metric="l2")
        self._triplet = TripletLoss(model, TripletDistanceMetric.COSINE, TRIPLET_MARGIN)
        self._margin_mse = MarginMSELoss(model)
        # Not by its own temperature: it would multiply the loss by its square (1/400) and drown it.
        self._divergence = DistillKLDivLoss(model, lambda q, d: pairwise_dot_score(q, d) / temperature)

    def alignment(self, batch: AlignmentBatch) -> Tensor:
        """Weighted sum of the losses that compare with the teacher's vectors of the same texts."""
        vectors, targets = self._student(batch.ids, batch.mask), batch.targets
        return self._sum(
            {
                "cosine": lambda: self._cosine.compute_loss_from_embeddings([vectors], [targets]),
                "l2": lambda: self._l2.compute_loss_from_embeddings([vectors], [targets]),
            }
        )

    def candidates(self, batch: CandidateBatch) -> Tensor:
        """Weighted sum of the losses that compare queries with documents; 0 where none of them applies.

        `backward` may run the student again (GradCache), so no weight must change before it.

        Raises:
            ValueError: a loss learns from a cross-encoder, and the batch has no scores.
        """
        if len(batch.ids) <= self._mini_batch_size:
            return self._ranking(self._student(batch.ids, batch.mask), batch)
        cache = _GradCache(
            self._student, lambda vectors: self._ranking(vectors, batch), self._mini_batch_size
        )
        return cache.forward_cached([{"input_ids": batch.ids, "attention_mask": batch.mask}])

    def _ranking(self, vectors: Tensor, batch: CandidateBatch) -> Tensor:
        """The losses over candidates, given the student's vectors (b, ndim) of the queries."""
        answered, columns = _labelled(batch), batch.documents.unbind(1)
        terms: dict[str, Callable[[], Tensor]] = {
            "margin_mse": lambda: self._margin_mse.compute_loss_from_embeddings(
                [vectors, *columns], _cross_encoder(batch)
            ),
            "kl": lambda: self._kl(vectors, columns, _cross_encoder(batch)),
            "preference": lambda: preference(
                torch.einsum("bn,bcn->bc", vectors, batch.documents) / self._temperature,
                _cross_encoder(batch),
            ),
            "listwise": lambda: self._kl(vectors, columns, batch.cosines),
        }
        if len(answered.ids):
            terms["contrastive"] = lambda: self._contrastive(vectors[batch.labelled], answered)
            terms["triplet"] = lambda: self._triplets(vectors[batch.labelled], answered)
        return self._sum(terms) + 0 * vectors.sum()  # so that a batch to which none applies has a gradient

    def _contrastive(self, vectors: Tensor, batch: CandidateBatch) -> Tensor:
        """InfoNCE: each query's positive against all other documents of the batch."""
        mask = false_negatives(batch)
        loss = MultipleNegativesRankingLoss(
            self._model,
            scale=1 / self._temperature,
            similarity_fct=lambda queries, documents: dot_score(queries, documents).masked_fill(
                mask, -torch.inf
            ),
        )
        return loss.compute_loss_from_embeddings([vectors, *batch.documents.unbind(1)], batch.labelled)

    def _triplets(self, vectors: Tensor, batch: CandidateBatch) -> Tensor:
        """Each query with its positive and each of its own negatives."""
        positives, negatives = batch.documents[:, :1], batch.documents[:, 1:]
        triplets = [part.expand_as(negatives).flatten(0, 1) for part in (vectors[:, None], positives)]
        return self._triplet.compute_loss_from_embeddings(
            [*triplets, negatives.flatten(0, 1)], batch.labelled
        )

    def _kl(self, vectors: Tensor, columns: tuple[Tensor, ...], target: Tensor) -> Tensor:
        return self._divergence.compute_loss_from_embeddings([vectors, *columns], target / self._temperature)

    def _sum(self, terms: Terms) -> Tensor:
        weighted = [
            weight * terms[name]()
            for name, weight in dataclasses.asdict(self._weights).items()
            if weight > 0 and name in terms
        ]
        return torch.stack(weighted).sum() if weighted else torch.zeros(())


def false_negatives(batch: CandidateBatch) -> Tensor:
    """Documents of a labelled batch that must not count against a query, since they answer it.

    Other queries of the batch may have the same positive, or the query itself may be there twice, each time
    with another positive; and a corpus has copies.

    Returns:
        bool (b, c·b); column k·b + j is document k of query j. A query's own positive is never marked.
    """
    positives = batch.documents[:, 0]
    answers = dot_score(positives, torch.cat(batch.documents.unbind(1))) >= SAME_DOCUMENT
    _, query = torch.unique(batch.ids, dim=0, return_inverse=True)
    same_query = query[:, None] == query
    marked: Tensor = (same_query.float() @ answers.float()) > 0
    marked[:, : len(positives)].fill_diagonal_(False)
    return marked


def on_cosine_scale(scores: Tensor, cosines: Tensor) -> Tensor:
    """A cross-encoder's logits (b, c), given the mean and spread of the cosines (b, c) of the same list.

    Cross-encoders agree on no scale: logits of one run from -11 to 11, of another from 0 to 1, and margins
    of cosines cannot follow either. Only their order and relative distances in a list are asked of the
    student, at the contrast that its bi-encoder teacher has, so one temperature serves every teacher.
    """
    spread = scores.std(1, correction=0, keepdim=True).clamp_min(LEAST_SPREAD)
    standard = (scores - scores.mean(1, keepdim=True)) / spread
    return standard * cosines.std(1, correction=0, keepdim=True) + cosines.mean(1, keepdim=True)


def preference(logits: Tensor, scores: Tensor) -> Tensor:
    """RankNet (Burges et al. 2005): -log P(i before j), mean over all pairs of which `scores` prefers i.

    Both (b, c); ties in `scores` say nothing.
    """
    preferred = scores[:, :, None] > scores[:, None, :]
    costs = nn.functional.softplus(logits[:, None, :] - logits[:, :, None])[preferred]
    return costs.sum() / max(1, len(costs))


class _GradCache(CachedLossMixin, nn.Module):
    """A loss of all vectors of a batch, computed in two passes of mini-batches."""

    def __init__(self, student: Encode, loss: Callable[[Tensor], Tensor], mini_batch_size: int) -> None:
        super().__init__()
        self.model = lambda features: {
            "sentence_embedding": student(features["input_ids"], features["attention_mask"])
        }
        self.loss, self.mini_batch_size = loss, mini_batch_size

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of the only column's vectors, and its gradient to them."""
        loss = self.loss(torch.cat(reps[0]))
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _labelled(batch: CandidateBatch) -> CandidateBatch:
    """The labelled queries; losses over labels must not learn from the teacher's guesses."""
    rows = batch.labelled
    return CandidateBatch(
        batch.ids[rows], batch.mask[rows], batch.documents[rows], batch.labelled[rows], batch.cosines[rows]
    )


def _cross_encoder(batch: CandidateBatch) -> Tensor:
    if batch.scores is None:
        raise ValueError("the batch has no scores of a cross-encoder")
    return on_cosine_scale(batch.scores, batch.cosines)
