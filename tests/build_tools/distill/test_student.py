"""The student against the transformers model it was cut from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from build_tools.distill.batches import pad
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import StudentShape, cut, macs
from build_tools.errors import ModelError

SEQUENCES = [[2, 7, 9, 3], [2, 3], [2, *range(5, 40), 3]]


def bert(**changes: Any) -> BertModel:
    """A narrow random BERT of three layers."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.3,
        **changes,
    )
    model = BertModel(config)
    model.train(False)
    return model


def reference(model: BertModel, pooling: str) -> Tensor:
    """What transformers gives for `SEQUENCES`, pooled and normalised."""
    ids, mask = pad(SEQUENCES)
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask[:, :, None].float()
    pooled = states[:, 0] if pooling == "cls" else (states * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(pooled, dim=1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_with_all_layers_it_is_the_base_model(pooling: Any) -> None:
    """Cutting nothing away changes nothing; None means all."""
    base = bert()
    student = cut(base, None, 32, pooling).eval()
    assert student.shape.layers == 3
    with torch.no_grad():
        vectors = student(*pad(SEQUENCES))
    torch.testing.assert_close(vectors, reference(base, pooling), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_without_padding_no_mask_is_needed(pooling: Any) -> None:
    """As a device asks: one query, all of whose tokens count."""
    student = cut(bert(), None, 32, pooling).eval()
    ids = torch.tensor([SEQUENCES[-1]])
    with torch.no_grad():
        torch.testing.assert_close(student(ids), student(ids, torch.ones_like(ids)))


def test_kept_layers_are_those_asked_for() -> None:
    """Layers 0 and 2 of a base equal a base whose layer 1 is taken out."""
    base = bert()
    student = cut(base, (0, 2), 32, "mean").eval()
    del base.encoder.layer[1]
    with torch.no_grad():
        vectors = student(*pad(SEQUENCES))
    torch.testing.assert_close(vectors, reference(base, "mean"), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_does_not_matter(pooling: Any) -> None:
    """A text alone and the same text beside a longer one have the same vector."""
    student = cut(bert(), (0, 1), 32, pooling).eval()
    together = encode_tokens(student, SEQUENCES)
    alone = [encode_tokens(student, [sequence])[0] for sequence in SEQUENCES]
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_training_mode_has_no_dropout() -> None:
    """The same weights give the same vectors in training, so resumed runs need no random state."""
    student = cut(bert(hidden_dropout_prob=0.5), (0, 1), 32, "mean")
    inputs = pad(SEQUENCES)
    assert torch.equal(student.train()(*inputs), student.eval()(*inputs))


def test_a_projection_is_added_where_dimensions_differ() -> None:
    """It starts from the seed, and vectors still have unit length."""
    first, again, other = (cut(bert(), (0,), 20, "mean", seed=seed) for seed in (1, 1, 2))
    vectors = encode_tokens(first.eval(), SEQUENCES)
    assert vectors.shape == (3, 20)
    assert (vectors**2).sum(1) == pytest.approx(1, abs=1e-5)
    weights = [student.get_parameter("projection.weight") for student in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert cut(bert(), (0,), 32, "mean").projection is None


def test_a_projection_between_equal_dimensions() -> None:
    """Is added where every layer is read: another model's space may be as wide as the teacher's."""
    student = cut(bert(), (0,), 32, "mean", every_layer=True)
    assert student.shape.has_projection
    assert student.get_parameter("projection.weight").shape == (32, 2 * 32)


def test_what_the_projection_reads() -> None:
    """The pooled states; the vectors are their unit images."""
    student = cut(bert(), (0, 1), 20, "mean").eval()
    with torch.no_grad():
        inputs = pad(SEQUENCES)
        states = student.pooled(*inputs)
        assert states.shape == (3, 32)
        assert student.projection is not None
        expected = torch.nn.functional.normalize(student.projection(states), dim=1)
        torch.testing.assert_close(student(*inputs), expected)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_layer_is_read(pooling: Any) -> None:
    """Side by side: what students of no, of one and of two layers pool."""
    base = bert()
    student = cut(base, (0, 1), 20, pooling, every_layer=True).eval()
    inputs = pad(SEQUENCES)
    with torch.no_grad():
        parts = student.pooled(*inputs).split(32, dim=1)
        for part, layers in zip(parts[1:], ((0,), (0, 1)), strict=True):
            torch.testing.assert_close(part, cut(base, layers, 32, pooling).eval().pooled(*inputs))
        words = base.embeddings(inputs[0])
        weights = inputs[1][:, :, None].float()
        mean = (words * weights).sum(1) / weights.sum(1)
        torch.testing.assert_close(parts[0], words[:, 0] if pooling == "cls" else mean)
        assert student.projection is not None
        expected = torch.nn.functional.normalize(student.projection(torch.cat(parts, 1)), dim=1)
        torch.testing.assert_close(student(*inputs), expected)


@pytest.mark.parametrize("every_layer", [False, True])
@pytest.mark.parametrize(("layers", "ndim", "tokens"), [((0,), 32, 1), ((0, 2), 32, 7), ((0, 1, 2), 20, 16)])
def test_macs(layers: tuple[int, ...], ndim: int, tokens: int, every_layer: bool) -> None:
    """Half of the floating-point operations that PyTorch counts."""
    student = cut(bert(), layers, ndim, "mean", every_layer=every_layer).eval()
    ids = torch.ones((1, tokens), dtype=torch.int64)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        student(ids, ids)
    assert macs(student.shape, tokens) * 2 == counter.get_total_flops()


def test_macs_by_hand() -> None:
    """One layer, one token: four square maps, two to and from the intermediate, two products of attention."""
    shape = StudentShape(60, 64, 32, 48, 4, 1, 32, 1e-12, "mean")
    assert macs(shape, 1) == 4 * 32 * 32 + 2 * 32 * 48 + 2 * 32
    assert macs(replace(shape, every_layer=True), 1) == macs(shape, 1) + 2 * 32 * 32


def test_a_layer_beyond_the_base() -> None:
    """The error says which layers there are."""
    with pytest.raises(ModelError, match=r"encoders\.layers: layer 3 asked for; .* layers 0 to 2"):
        cut(bert(), (0, 3), 32, "mean")


def _roberta() -> RobertaModel:
    config = RobertaConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48
    )
    return RobertaModel(config)


def _distilbert() -> DistilBertModel:
    return DistilBertModel(DistilBertConfig(vocab_size=60, dim=32, n_layers=1, n_heads=4, hidden_dim=48))


@pytest.mark.parametrize(
    ("base", "found"),
    [
        (_roberta, "model_type is 'roberta'"),
        (_distilbert, "model_type is 'distilbert'"),
        (lambda: bert(hidden_act="relu"), "hidden_act is 'relu'"),
    ],
)
def test_other_architectures_are_refused_with_advice(base: Any, found: str) -> None:
    """Whatever attributes their configurations lack."""
    with pytest.raises(
        ModelError, match=f"encoders.base: {found}; students are cut from BERT.*such as `packaged`"
    ):
        cut(base(), (0,), 32, "mean")
