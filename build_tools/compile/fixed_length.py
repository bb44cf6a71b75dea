"""The student as TFLite wants it: one query of a fixed length, in operators that every runtime has.

The same weights and the same sums as `distill.student.Student`, in another form: no batch, one product for
query, key and value, a mask without booleans, and the word table as int8 rows with one scale each.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from build_tools.compile.rows import quantize_rows
from build_tools.distill.student import MASKED, Layer, Student


class FixedLength(nn.Module):
    """One query, padded to `length` tokens, to a unit vector.

    Takes ``input_ids`` and ``attention_mask``, int32 (1, length); gives float32 (1, ndim).
    """

    def __init__(self, student: Student, length: int) -> None:
        super().__init__()
        rows, scales = map(torch.from_numpy, quantize_rows(student.words.weight.detach().numpy()))
        self.rows, self.scales = nn.Buffer(rows), nn.Buffer(scales)
        positions = student.positions.weight.detach()[:length].clone()
        # Rows beyond the student's own are for a length that only stands for others (see `tflite_resize`).
        self.positions = nn.Buffer(functional.pad(positions, (0, 0, 0, length - len(positions))))
        self.norm = student.norm
        self.layers = nn.ModuleList(_FusedLayer(cast(Layer, layer)) for layer in student.layers)
        self.projection = student.projection
        self.pooling, self.every_layer = student.shape.pooling, student.shape.every_layer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The query's unit vector."""
        ids, mask = input_ids.reshape(-1), attention_mask.to(torch.float32)
        words = functional.embedding(ids, self.rows).to(torch.float32) * functional.embedding(
            ids, self.scales
        )
        states = [self.norm(words + self.positions)]
        bias = (1.0 - mask) * MASKED
        for layer in self.layers:
            states.append(layer(states[-1], bias))
        read = torch.cat(states, dim=1) if self.every_layer else states[-1]
        pooled = read[:1] if self.pooling == "cls" else _mean(read, mask.reshape(-1, 1))
        vector = pooled if self.projection is None else self.projection(pooled)
        unit: Tensor = vector * torch.rsqrt((vector * vector).sum(1, keepdim=True).clamp_min(1e-24))
        return unit


class _FusedLayer(nn.Module):
    """`Layer` with one product for query, key and value; the root of the head's size is in the weights."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.rest = layer
        shrink = 1 / math.sqrt(layer.head_size)
        parts = (layer.query, shrink), (layer.key, 1.0), (layer.value, 1.0)
        self.mixing = nn.Linear(layer.query.in_features, 3 * layer.query.out_features)
        with torch.no_grad():
            self.mixing.weight.copy_(torch.cat([part.weight * factor for part, factor in parts]))
            self.mixing.bias.copy_(torch.cat([part.bias * factor for part, factor in parts]))

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        rest = self.rest
        length, hidden = states.shape
        query, key, value = (
            part.reshape(length, rest.heads, rest.head_size).permute(1, 0, 2)
            for part in self.mixing(states).split(hidden, 1)
        )
        weights = torch.softmax(torch.matmul(query, key.transpose(1, 2)) + bias, -1)
        mixed = torch.matmul(weights, value).permute(1, 0, 2).reshape(length, hidden)
        attended = rest.attention_norm(rest.attention_output(mixed) + states)
        expanded = functional.gelu(rest.intermediate(attended))
        normalised: Tensor = rest.output_norm(rest.output(expanded) + attended)
        return normalised


def _mean(states: Tensor, weights: Tensor) -> Tensor:
    return (states * weights).sum(0, keepdim=True) / weights.sum(0, keepdim=True)
