"""The query encoder as a PyTorch module: a BERT encoder cut to a few layers, pooled, projected, normalised.

Written out rather than wrapped, so that one forward pass serves training and both compilers: no token
types (their constant row is folded into the positions), no dropout, arithmetic masks, plain attention that
ONNX Runtime's fusions recognise. Source: Devlin et al. 2019, arXiv 1810.04805.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from build_tools.errors import ModelError

MASKED = -10000.0
"""Added to the attention logits of padding; finite, so that int8 kernels stay in range."""


@dataclass(frozen=True, slots=True)
class StudentShape:
    """Everything needed to build an untrained student.

    Attributes:
        ndim: dimensions of the output vector.
        pooling: mean over the tokens, or the first token's state.
        every_layer: what is pooled is the embeddings and the states of every layer, side by side, not the
            last layer's alone (section 5.3 there); a linear map follows, even where `ndim` is `hidden`.
    """

    vocabulary: int
    positions: int
    hidden: int
    intermediate: int
    heads: int
    layers: int
    ndim: int
    epsilon: float
    pooling: Literal["mean", "cls"]
    every_layer: bool = False

    @property
    def has_projection(self) -> bool:
        """Whether a linear map follows the pooling."""
        return self.every_layer or self.ndim != self.hidden

    @property
    def pooled(self) -> int:
        """How many numbers that map reads."""
        return self.hidden * (self.layers + 1 if self.every_layer else 1)


class Student(nn.Module):
    """Token ids to unit vectors: (n, t) int64 and a 0/1 mask of the same shape to (n, ndim) float32."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.projection = nn.Linear(shape.pooled, shape.ndim) if shape.has_projection else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of padded sequences; of sequences without padding where there is no mask."""
        pooled = self.pooled(input_ids, attention_mask)
        projected = pooled if self.projection is None else self.projection(pooled)
        unit: Tensor = projected / projected.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return unit

    def pooled(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, addend: Tensor | None = None
    ) -> Tensor:
        """One state a sequence, (n, shape.pooled): what the projection reads.

        Args:
            attention_mask: None where nothing is padded.
            addend: joins the embeddings of words and positions, (n, t, hidden).
        """
        bias = None
        if attention_mask is not None:
            # Unsqueeze, cast, subtract, multiply: in this order ONNX Runtime recognises an attention mask.
            bias = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * MASKED
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        embedded = self.words(input_ids) + self.positions(positions)
        states: list[Tensor] = [self.norm(embedded if addend is None else embedded + addend)]
        for layer in self.layers:
            states.append(layer(states[-1], bias))
        if not self.shape.every_layer:
            return self._pool(states[-1], attention_mask)
        return torch.cat([self._pool(each, attention_mask) for each in states], dim=1)

    def _pool(self, states: Tensor, attention_mask: Tensor | None) -> Tensor:
        if self.shape.pooling == "cls":
            return states[:, 0]
        if attention_mask is None:
            return states.mean(1)
        weights = attention_mask[:, :, None].to(torch.float32)
        return (states * weights).sum(1) / weights.sum(1).clamp_min(1e-9)

    def parameter_groups(self, learning_rate: float, train_embeddings: bool) -> list[dict[str, Any]]:
        """One group for the optimizer; the word table is frozen unless it is to train."""
        self.words.weight.requires_grad_(train_embeddings)
        return [{"params": [part for part in self.parameters() if part.requires_grad], "lr": learning_rate}]


class Layer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.heads, self.head_size = shape.heads, shape.hidden // shape.heads
        self.query = nn.Linear(shape.hidden, shape.hidden)
        self.key = nn.Linear(shape.hidden, shape.hidden)
        self.value = nn.Linear(shape.hidden, shape.hidden)
        self.attention_output = nn.Linear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.intermediate = nn.Linear(shape.hidden, shape.intermediate)
        self.output = nn.Linear(shape.intermediate, shape.hidden)
        self.output_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)

    def forward(self, states: Tensor, bias: Tensor | None = None) -> Tensor:
        """Token states (n, t, hidden) to the next; `bias`, if any, is added to the attention logits."""
        attended = self.attention_norm(self.attention_output(self._attend(states, bias)) + states)
        expanded = nn.functional.gelu(self.intermediate(attended))
        normalised: Tensor = self.output_norm(self.output(expanded) + attended)
        return normalised

    def _attend(self, states: Tensor, bias: Tensor | None) -> Tensor:
        query, key, value = (self._split(part(states)) for part in (self.query, self.key, self.value))
        logits = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(self.head_size)
        if bias is not None:
            logits = logits + bias
        mixed = torch.matmul(torch.softmax(logits, dim=-1), value)
        return mixed.permute(0, 2, 1, 3).contiguous().view(states.shape)

    def _split(self, states: Tensor) -> Tensor:
        split = states.view(states.shape[0], states.shape[1], self.heads, self.head_size)
        return split.permute(0, 2, 1, 3)


def cut(
    base: PreTrainedModel,
    layers: tuple[int, ...] | None,
    ndim: int,
    pooling: Literal["mean", "cls"],
    *,
    every_layer: bool = False,
    seed: int = 0,
) -> Student:
    """A student with the weights of the chosen layers of `base`; None takes all of them.

    A projection starts at random, from `seed`; `initialise.fit_projection` gives it a better start.

    Args:
        every_layer: as in `StudentShape`.

    Raises:
        ModelError: `base` is not a plain BERT encoder, or has no such layer.
    """
    config = base.config
    if problem := bert_problem(config):
        raise ModelError(
            f"encoders.base: {problem} Name one as encoders.base, such as `packaged`; any teacher will do."
        )
    chosen = tuple(range(config.num_hidden_layers)) if layers is None else layers
    if chosen[-1] >= config.num_hidden_layers:
        raise ModelError(
            f"encoders.layers: layer {chosen[-1]} asked for; the base encoder has layers 0 to "
            f"{config.num_hidden_layers - 1}"
        )
    torch.manual_seed(seed)
    student = Student(_shape_of(config, len(chosen), ndim, pooling, every_layer))
    embeddings: Any = base.embeddings
    with torch.no_grad():
        student.words.weight.copy_(embeddings.word_embeddings.weight)
        token_type = embeddings.token_type_embeddings.weight[0]
        student.positions.weight.copy_(embeddings.position_embeddings.weight + token_type)
    student.norm.load_state_dict(embeddings.LayerNorm.state_dict())
    for layer, number in zip(student.layers, chosen, strict=True):
        _copy_layer(layer, base.get_submodule(f"encoder.layer.{number}"))
    return student


def macs(shape: StudentShape, tokens: int) -> int:
    """Multiply-adds of one query of `tokens` word pieces, special ones included.

    Matrix products only: norms, softmax and activations are a few per cent, and table look-ups are free.
    """
    weights = 4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate
    attention = 2 * tokens * shape.hidden
    projection = shape.pooled * shape.ndim if shape.has_projection else 0
    return shape.layers * tokens * (weights + attention) + projection


def _shape_of(
    config: PretrainedConfig, layers: int, ndim: int, pooling: Literal["mean", "cls"], every_layer: bool
) -> StudentShape:
    return StudentShape(
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=config.num_attention_heads,
        layers=layers,
        ndim=ndim,
        epsilon=config.layer_norm_eps,
        pooling=pooling,
        every_layer=every_layer,
    )


def _copy_layer(layer: nn.Module, source: nn.Module) -> None:
    for ours, theirs in (
        ("query", "attention.self.query"),
        ("key", "attention.self.key"),
        ("value", "attention.self.value"),
        ("attention_output", "attention.output.dense"),
        ("attention_norm", "attention.output.LayerNorm"),
        ("intermediate", "intermediate.dense"),
        ("output", "output.dense"),
        ("output_norm", "output.LayerNorm"),
    ):
        layer.get_submodule(ours).load_state_dict(source.get_submodule(theirs).state_dict())


def bert_problem(config: PretrainedConfig) -> str:
    """Why the layers of a model with this configuration cannot be copied; empty when they can."""
    found = {
        "model_type": config.model_type,
        "hidden_act": getattr(config, "hidden_act", None),  # other families call it something else
        "position_embedding_type": getattr(config, "position_embedding_type", "absolute"),
    }
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for name, value in expected.items():
        if found[name] != value:
            return f"{name} is {found[name]!r}; students are cut from BERT encoders ({name} {value!r})."
    return ""
