"""bfloat16: vectors and gradients near those of float32, and models that stay what they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn

from build_tools.precision import in_bfloat16, mixed
from build_tools.recipe_training import TeacherSpec
from build_tools.towers import Tower

TEXTS = ["the wheel turns", "soil", "a much longer text of many more words than the others have " * 3]


@pytest.fixture
def model(teacher_folder: Path) -> SentenceTransformer:
    """The tiny teacher, loaded afresh."""
    return SentenceTransformer(str(teacher_folder), device="cpu")


def unit_vectors(model: SentenceTransformer) -> NDArray[np.float32]:
    """Of `TEXTS`."""
    vectors: NDArray[np.float32] = model.encode(TEXTS, normalize_embeddings=True, convert_to_numpy=True)
    return vectors


def test_its_vectors_are_near_and_float32(model: SentenceTransformer) -> None:
    exact, lowered = unit_vectors(model), unit_vectors(in_bfloat16(model))
    assert lowered.dtype == np.float32
    assert not np.array_equal(exact, lowered)
    assert (exact * lowered).sum(1).min() > 0.999


def test_its_vectors_are_of_unit_length(model: SentenceTransformer) -> None:
    """To the precision of float32: pooling and norm do not compute in bfloat16."""
    np.testing.assert_allclose(np.linalg.norm(unit_vectors(in_bfloat16(model)), axis=1), 1, rtol=1e-6)


def test_the_model_stays_as_it_was(model: SentenceTransformer) -> None:
    before = unit_vectors(model)
    in_bfloat16(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    np.testing.assert_array_equal(unit_vectors(model), before)


def test_a_model_without_a_transformer_is_unchanged() -> None:
    words = {word: number for number, word in enumerate(["[UNK]", "soil", "wheel"])}
    table = StaticEmbedding(Tokenizer(WordLevel(words, unk_token="[UNK]")), embedding_dim=8)
    model = SentenceTransformer(modules=[table], device="cpu")
    np.testing.assert_array_equal(unit_vectors(in_bfloat16(model)), unit_vectors(model))


def test_a_tower_says_so_in_its_digest_and_keeps_its_model(teacher_folder: Path) -> None:
    exact = Tower.load(TeacherSpec(str(teacher_folder)))
    lowered = Tower.load(TeacherSpec(str(teacher_folder), precision="bfloat16"))
    assert exact.encoder is exact.model
    assert lowered.digest != exact.digest
    assert {parameter.dtype for parameter in lowered.model.parameters()} == {torch.float32}
    assert not np.array_equal(lowered.encode_queries(TEXTS), exact.encode_queries(TEXTS))
    assert not np.array_equal(lowered.encode_documents(TEXTS), exact.encode_documents(TEXTS))


class Sum(nn.Module):
    """A sum of token vectors, turned."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.turn = nn.Embedding(20, 32), nn.Linear(32, 32)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        summed = (self.words(ids) * mask[:, :, None]).sum(1)
        turned: Tensor = self.turn(summed)
        return turned


IDS = torch.arange(40).reshape(8, 5) % 20


def gradients(*, lowered: bool) -> tuple[Tensor, list[Tensor]]:
    """The vectors of `IDS` and what the weights get of their sum of squares."""
    module = Sum()
    vectors = (mixed(module) if lowered else module)(IDS, torch.ones_like(IDS))
    (vectors**2).sum().backward()  # type: ignore[no-untyped-call]
    return vectors.detach(), [part.grad for part in module.parameters() if part.grad is not None]


def test_mixed_vectors_and_gradients_are_float32_and_near() -> None:
    exact, exact_parts = gradients(lowered=False)
    rounded, rounded_parts = gradients(lowered=True)
    assert len(rounded_parts) == len(exact_parts) == 3
    for one, other in zip([rounded, *rounded_parts], [exact, *exact_parts], strict=True):
        assert one.dtype == torch.float32
        assert not torch.equal(one, other)
        assert nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_mixed_ends_with_the_forward_pass() -> None:
    """What follows it, the losses, computes in float32."""
    vectors = mixed(Sum())(IDS, torch.ones_like(IDS))
    assert (vectors @ vectors.T).dtype == torch.float32
