"""What the trainer asks of a student, of whatever kind it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from build_tools.distill.batches import Examples, TokenIds, pad

ENCODED_AT_ONCE = 64


class Shape(Protocol):
    """What a student says of itself."""

    @property
    def ndim(self) -> int:
        """Dimensions of its vectors."""


class QueryEncoder(Protocol):
    """A `torch.nn.Module` from token ids and a 0/1 mask, int64 (n, t), to unit vectors (n, ndim)."""

    @property
    def shape(self) -> Shape:
        """What it needs to be built again, its `ndim` among it."""

    def parameter_groups(self, learning_rate: float, train_embeddings: bool) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer, each with its peak rate `lr`; freezes what does not train."""

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors of padded sequences."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As `torch.nn.Module` has it, and so the rest."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...  # noqa: D102
    def train(self, mode: bool = True) -> Any: ...  # noqa: D102


def encode_tokens(student: QueryEncoder, tokens: Sequence[TokenIds]) -> NDArray[np.float32]:
    """Unit vectors (n, ndim) by the PyTorch student, in the order given."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    vectors = np.empty((len(tokens), student.shape.ndim), np.float32)
    student.train(False)
    with torch.inference_mode():
        for start in range(0, len(order), ENCODED_AT_ONCE):
            rows = order[start : start + ENCODED_AT_ONCE]
            vectors[rows] = student(*pad([tokens[row] for row in rows])).numpy()
    return vectors


def similarity(student: QueryEncoder, examples: Examples) -> float:
    """Mean cosine of the student's vectors to the targets."""
    return float((encode_tokens(student, examples.tokens) * examples.targets).sum(1).mean())
