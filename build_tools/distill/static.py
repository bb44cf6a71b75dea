"""The static query encoder as a PyTorch module: a table of token vectors, weighted, summed and turned.

It starts from the teacher's own vectors of single tokens and trains like any student. Frequent pairs of
adjacent tokens have rows of their own, which start at zero and are left out at random while training, so
that the single tokens learn to do without them: a query's pairs are mostly new, its words are not.
The head and the weights are linear, so `compile.static` folds both into the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from build_tools.distill.batches import TokenIds

WEIGHT_RATE = 5.0
"""The tokens' weights learn this much faster than the table: one number stands for a whole row."""

PAIRS_DROPPED = 0.5
"""Share of the training texts whose pairs are left out."""

LEAST_COUNT = 3
"""A pair must occur this often in the training texts to get a row."""


@dataclass(frozen=True, slots=True)
class StaticShape:
    """Everything needed to build an untrained static encoder: tokens, rows of pairs, and dimensions."""

    vocabulary: int
    bigrams: int
    ndim: int


class StaticStudent(nn.Module):
    """Token ids to unit vectors: (n, t) int64 and a 0/1 mask of the same shape to (n, ndim) float32."""

    keys: Tensor
    """int64 (bigrams,), rising: ``left * vocabulary + right``. The i-th has row ``vocabulary + i``."""

    def __init__(self, shape: StaticShape) -> None:
        super().__init__()
        self.shape = shape
        rows = shape.vocabulary + shape.bigrams
        self.table = nn.Embedding(rows, shape.ndim)
        self.weights = nn.Embedding(rows, 1)
        self.head = nn.Linear(shape.ndim, shape.ndim, bias=False)
        self.register_buffer("keys", torch.zeros(shape.bigrams, dtype=torch.int64))
        nn.init.zeros_(self.table.weight)
        nn.init.ones_(self.weights.weight)
        nn.init.eye_(self.head.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors of padded sequences."""
        rows, present = self._rows(input_ids, attention_mask)
        weights = self.weights(rows).squeeze(-1) * present
        starts = torch.arange(0, rows.numel(), rows.shape[1])
        total = nn.functional.embedding_bag(
            rows.flatten(), self.table.weight, starts, mode="sum", per_sample_weights=weights.flatten()
        )
        turned = self.head(total)
        unit: Tensor = turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return unit

    def parameter_groups(self, learning_rate: float, train_embeddings: bool) -> list[dict[str, Any]]:
        """Groups for the optimizer; the table is all there is, so `train_embeddings` changes nothing."""
        turned = [*self.table.parameters(), *self.head.parameters()]
        return [
            {"params": turned, "lr": learning_rate, "weight_decay": 0.0},
            {
                "params": list(self.weights.parameters()),
                "lr": WEIGHT_RATE * learning_rate,
                "weight_decay": 0.0,
            },
        ]

    def folded(self) -> NDArray[np.float32]:
        """The rows with weights and head in them, float32 (vocabulary + bigrams, ndim)."""
        with torch.no_grad():
            rows: NDArray[np.float32] = self.head(self.table.weight * self.weights.weight).numpy()
        return rows

    def _rows(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of tokens, then of pairs, (n, up to 2t - 1), and float 0/1 of which count."""
        present = attention_mask.to(torch.float32)
        if not self.shape.bigrams or input_ids.shape[1] < 2:
            return input_ids, present
        pairs = input_ids[:, :-1] * self.shape.vocabulary + input_ids[:, 1:]
        places = torch.searchsorted(self.keys, pairs).clamp_max(self.shape.bigrams - 1)
        both = attention_mask[:, :-1] * attention_mask[:, 1:] > 0
        known = (self.keys[places] == pairs) & both
        if self.training:
            known &= torch.rand(len(pairs), 1) >= PAIRS_DROPPED
        rows = torch.cat([input_ids, self.shape.vocabulary + places], dim=1)
        return rows, torch.cat([present, known.to(torch.float32)], dim=1)


def frequent_pairs(tokens: Sequence[TokenIds], *, vocabulary: int, count: int) -> NDArray[np.int64]:
    """Keys of the pairs that occur most often, at most `count`, rising; equal counts by key."""
    found: Counter[int] = Counter()
    if count:
        for ids in tokens:
            found.update(left * vocabulary + right for left, right in pairwise(ids))
    often = sorted((-times, key) for key, times in found.items() if times >= LEAST_COUNT)
    return np.array(sorted(key for _, key in often[:count]), np.int64)


def untrained(token_vectors: NDArray[np.float32], keys: NDArray[np.int64]) -> StaticStudent:
    """A static encoder that starts from vectors (vocabulary, ndim) of single tokens."""
    vocabulary, ndim = token_vectors.shape
    student = StaticStudent(StaticShape(vocabulary, len(keys), ndim))
    with torch.no_grad():
        student.table.weight[:vocabulary] = torch.from_numpy(token_vectors)
        student.keys.copy_(torch.from_numpy(keys))
    return student


def macs(shape: StaticShape, tokens: int) -> int:
    """Multiply-adds of one query of `tokens` tokens, with as many pairs as there can be."""
    pairs = max(0, tokens - 1) if shape.bigrams else 0
    return (tokens + pairs) * shape.ndim
