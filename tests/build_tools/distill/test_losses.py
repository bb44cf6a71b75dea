"""Each loss against its formula written out, and GradCache against the plain gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from build_tools.distill.batches import AlignmentBatch, CandidateBatch
from build_tools.distill.losses import (
    TRIPLET_MARGIN,
    Objective,
    false_negatives,
    on_cosine_scale,
    preference,
)
from build_tools.recipe_training import LossWeights

NDIM, TEMPERATURE = 6, 0.05
ALL = LossWeights(cosine=0, contrastive=0.5, triplet=2, margin_mse=3, kl=0.25, preference=1.5, listwise=0.75)


class Bag(nn.Module):
    """The least that is a student: the sum of its tokens' vectors, normalised."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.words = nn.Embedding(40, NDIM)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return unit((self.words(input_ids) * attention_mask[:, :, None]).sum(1))


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def queries(count: int) -> tuple[Tensor, Tensor]:
    """Token ids of rising length, padded; all different."""
    ids = torch.arange(1, count + 1)[:, None].repeat(1, 4)
    mask = (torch.arange(4) < torch.arange(count)[:, None] % 4 + 1).long()
    return ids * mask, mask


def batch(count: int = 5, candidates: int = 4, seed: int = 0) -> CandidateBatch:
    """Different queries and documents; the third and fifth queries have no label."""
    torch.manual_seed(seed)
    ids, mask = queries(count)
    return CandidateBatch(
        ids,
        mask,
        documents=unit(torch.randn(count, candidates, NDIM)),
        labelled=torch.tensor([row not in (2, 4) for row in range(count)]),
        cosines=torch.rand(count, candidates),
        scores=8 * torch.randn(count, candidates),
    )


def objective(weights: LossWeights, student: Any = None, mini_batch_size: int = 100) -> Objective:
    return Objective(student or Bag(), weights, temperature=TEMPERATURE, mini_batch_size=mini_batch_size)


def only(**weights: float) -> LossWeights:
    return LossWeights(**({"cosine": 0.0} | weights))


def cosines_of(examples: CandidateBatch) -> list[list[float]]:
    """The student's cosines, as plain numbers."""
    with torch.no_grad():
        vectors = Bag()(examples.ids, examples.mask)
        return torch.einsum("bn,bcn->bc", vectors, examples.documents).double().tolist()


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(value - max(values)) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def divergence(targets: list[list[float]], logits: list[list[float]]) -> float:
    """Mean KL(softmax(target) || softmax(logit)) of the rows."""
    total = 0.0
    for target, logit in zip(targets, logits, strict=True):
        for p, q in zip(softmax(target), softmax(logit), strict=True):
            total += p * math.log(p / q)
    return total / len(targets)


def scaled(rows: list[list[float]]) -> list[list[float]]:
    return [[value / TEMPERATURE for value in row] for row in rows]


def standardised(examples: CandidateBatch) -> list[list[float]]:
    """The cross-encoder's scores with mean and spread of the cosines, list by list."""
    assert examples.scores is not None
    rows = []
    for scores, cosines in zip(examples.scores.tolist(), examples.cosines.tolist(), strict=True):
        means = [sum(row) / len(row) for row in (scores, cosines)]
        spreads = [
            math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))
            for row, mean in zip((scores, cosines), means, strict=True)
        ]
        rows.append([(score - means[0]) / spreads[0] * spreads[1] + means[1] for score in scores])
    return rows


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_cosine(weight: float) -> None:
    """One minus the mean cosine."""
    ids, mask = queries(4)
    targets = unit(torch.randn(4, NDIM))
    loss = objective(only(cosine=weight)).alignment(AlignmentBatch(ids, mask, targets))
    expected = weight * (1 - (Bag()(ids, mask) * targets).sum(1)).mean()
    torch.testing.assert_close(loss, expected)


def test_l2_and_a_sum() -> None:
    """Mean Euclidean distance, weighted with the other."""
    ids, mask = queries(4)
    targets = unit(torch.randn(4, NDIM))
    loss = objective(LossWeights(cosine=2, l2=3)).alignment(AlignmentBatch(ids, mask, targets))
    vectors = Bag()(ids, mask)
    distance = ((vectors - targets) ** 2).sum(1).sqrt().mean()
    torch.testing.assert_close(loss, 2 * (1 - (vectors * targets).sum(1)).mean() + 3 * distance)


def test_contrastive() -> None:
    """The positive against every document of the labelled queries; the others' documents play no part."""
    examples = batch()
    rows = [0, 1, 3]
    documents = examples.documents[rows].flatten(0, 1)
    vectors = Bag()(examples.ids[rows], examples.mask[rows])
    expected = 0.0
    for vector, positive in zip(vectors, examples.documents[rows][:, 0], strict=True):
        logits = (documents @ vector / TEMPERATURE).tolist()
        expected -= (vector @ positive).item() / TEMPERATURE - math.log(sum(map(math.exp, logits)))
    loss = objective(only(contrastive=1)).candidates(examples)
    assert loss.item() == pytest.approx(expected / 3, rel=1e-5)


def test_triplet() -> None:
    """Cosine distances of positive and negative, kept apart by the margin."""
    examples = batch()
    costs = [
        max(0.0, negative - row[0] + TRIPLET_MARGIN)
        for row, labelled in zip(cosines_of(examples), examples.labelled, strict=True)
        if labelled
        for negative in row[1:]
    ]
    loss = objective(only(triplet=1)).candidates(examples)
    assert loss.item() == pytest.approx(sum(costs) / len(costs), rel=1e-5)
    assert len(costs) == 9


def test_margin_mse() -> None:
    """Margins of cosines against those of the cross-encoder, on the scale of cosines."""
    examples = batch()
    errors = [
        (own[0] - own[k] - (target[0] - target[k])) ** 2
        for own, target in zip(cosines_of(examples), standardised(examples), strict=True)
        for k in range(1, 4)
    ]
    loss = objective(only(margin_mse=1)).candidates(examples)
    assert loss.item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_kl() -> None:
    """To the cross-encoder's distribution."""
    examples = batch()
    expected = divergence(scaled(standardised(examples)), scaled(cosines_of(examples)))
    assert objective(only(kl=1)).candidates(examples).item() == pytest.approx(expected, rel=1e-5)


def test_listwise() -> None:
    """To the bi-encoder's distribution, which needs no cross-encoder."""
    examples = replace(batch(), scores=None)
    expected = divergence(scaled(examples.cosines.tolist()), scaled(cosines_of(examples)))
    assert objective(only(listwise=1)).candidates(examples).item() == pytest.approx(expected, rel=1e-5)


def test_preference() -> None:
    """Every pair that the cross-encoder orders; equal scores order nothing."""
    examples = batch()
    assert examples.scores is not None
    examples.scores[1, 2] = examples.scores[1, 0]
    costs = [
        math.log(1 + math.exp((own[j] - own[i]) / TEMPERATURE))
        for own, scores in zip(cosines_of(examples), examples.scores.tolist(), strict=True)
        for i in range(4)
        for j in range(4)
        if scores[i] > scores[j]
    ]
    loss = objective(only(preference=1)).candidates(examples)
    assert loss.item() == pytest.approx(sum(costs) / len(costs), rel=1e-5)
    assert len(costs) == 5 * 6 - 1


def test_all_together_are_their_weighted_sum() -> None:
    """Each by its weight."""
    examples = batch()
    parts = {
        "contrastive": 0.5,
        "triplet": 2,
        "margin_mse": 3,
        "kl": 0.25,
        "preference": 1.5,
        "listwise": 0.75,
    }
    expected = sum(
        weight * objective(only(**{name: 1})).candidates(examples).item() for name, weight in parts.items()
    )
    assert objective(ALL).candidates(examples).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["contrastive", "triplet"])
def test_unlabelled_queries_teach_nothing_about_labels(name: str) -> None:
    """Whatever their documents; and a batch of them alone has a gradient of zero."""
    student = Bag()
    examples = batch()
    changed = examples.documents.clone()
    changed[~examples.labelled] = changed[0, 1].clone()
    loss = objective(only(**{name: 1}), student)
    assert loss.candidates(replace(examples, documents=changed)).item() == loss.candidates(examples).item()
    nobody = loss.candidates(replace(examples, labelled=torch.zeros(5, dtype=torch.bool)))
    nobody.backward()
    assert nobody.item() == 0
    assert not student.words.weight.grad.any()


@pytest.mark.parametrize("mini_batch_size", [1, 3, 6])
@pytest.mark.parametrize("weights", [only(contrastive=1), only(listwise=1), ALL])
def test_gradcache_has_the_plain_gradient(weights: LossWeights, mini_batch_size: int) -> None:
    """In mini-batches that divide the batch or not, weighted from outside or not."""
    examples = batch(count=7)
    gradients = []
    for size in (mini_batch_size, 100):
        student = Bag()
        loss = objective(weights, student, mini_batch_size=size).candidates(examples)
        (0.5 * loss).backward()
        gradients.append((loss.item(), student.words.weight.grad))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert gradients[0][1].any()


def test_gradcache_without_gradients() -> None:
    """As when it is measured on held-out queries."""
    examples = batch(count=7)
    with torch.no_grad():
        loss = objective(ALL, mini_batch_size=3).candidates(examples)
    assert loss.item() == pytest.approx(objective(ALL).candidates(examples).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["margin_mse", "kl", "preference"])
def test_without_scores(name: str) -> None:
    """A mistake in a program, not in a recipe."""
    with pytest.raises(ValueError, match="no scores of a cross-encoder"):
        objective(only(**{name: 1})).candidates(replace(batch(), scores=None))


def test_false_negatives() -> None:
    """Four queries of three documents: two share an answer, one comes twice, one document is a copy."""
    documents = torch.eye(16)[torch.tensor([[0, 4, 5], [0, 6, 7], [2, 3, 8], [3, 0, 9]])]
    ids = torch.tensor([[1, 1], [2, 0], [3, 3], [3, 3]])
    one = torch.ones(4, dtype=torch.bool)
    marked = false_negatives(CandidateBatch(ids, ids, documents, one, documents[:, :, 0]))
    # Columns: documents 0 0 2 3 | 4 6 3 0 | 5 7 8 9 of the four queries.
    expected = [
        [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0],
    ]
    assert marked.long().tolist() == expected


def test_a_shared_positive_is_no_negative() -> None:
    """Two queries with the same answer and nothing else: there is nothing to tell apart."""
    ids, mask = queries(2)
    document = unit(torch.ones(NDIM)).expand(2, 1, NDIM)
    examples = CandidateBatch(ids, mask, document, torch.ones(2, dtype=torch.bool), torch.ones(2, 1))
    assert objective(only(contrastive=1)).candidates(examples).item() == pytest.approx(0, abs=1e-6)


finite = st.floats(-20, 20, width=32)


@given(
    st.lists(finite, min_size=2, max_size=8, unique_by=lambda value: round(value, 1)),
    st.floats(0.25, 64),
    finite,
)
@settings(deadline=None, max_examples=50)
def test_the_cross_encoders_scale_does_not_matter(scores: list[float], stretch: float, shift: float) -> None:
    """Scores stretched and shifted teach the same, with the cosines' mean and spread."""
    cosines = torch.linspace(0.2, 0.7, len(scores))[None]
    given_scores = torch.tensor([scores], dtype=torch.float64)
    target = on_cosine_scale(given_scores, cosines)
    torch.testing.assert_close(
        on_cosine_scale(given_scores * stretch + shift, cosines), target, rtol=1e-4, atol=1e-4
    )
    assert target.argsort().tolist() == given_scores.argsort().tolist()
    assert target.mean().item() == pytest.approx(cosines.mean().item(), abs=1e-5)
    assert target.std(correction=0).item() == pytest.approx(cosines.std(correction=0).item(), rel=1e-4)


def test_equal_scores_are_no_preference() -> None:
    """Rounding in the cross-encoder is not blown up into a ranking."""
    scores = torch.tensor([[11.0, 11.000001, 11.0]])
    cosines = torch.tensor([[0.9, 0.5, 0.1]])
    torch.testing.assert_close(on_cosine_scale(scores, cosines), torch.full((1, 3), 0.5), atol=0.01, rtol=0)
    assert preference(torch.rand(1, 3), torch.ones(1, 3)).item() == 0
