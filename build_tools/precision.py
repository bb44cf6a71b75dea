"""Models that compute in bfloat16: the exponent of float32, eight bits of its fraction, half of its bytes.

Processors with instructions for it (avx512_bf16, amx_bf16) multiply matrices twice as fast and more, and what
is rounded away is far less than a student ever comes near its teacher.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch import Tensor

Encode = Callable[[Tensor, Tensor], Tensor]
"""Token ids and mask (n, t) to vectors (n, ndim)."""


def in_bfloat16(model: SentenceTransformer) -> SentenceTransformer:
    """A copy whose transformers compute in bfloat16; the model itself stays as it was.

    Pooling and what follows it read float32: a mean over hundreds of token states would lose, in bfloat16,
    more than the layers do. A model without a transformer is copied unchanged.
    """
    lowered = copy.deepcopy(model)
    for module in lowered.modules():
        if isinstance(module, Transformer):
            module.to(torch.bfloat16)
            module.register_forward_hook(_widen)
    return lowered


def _widen(_module: Transformer, _inputs: Any, features: dict[str, Any]) -> dict[str, Any]:
    """A transformer's output with every bfloat16 tensor in float32."""
    return {
        name: value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16 else value
        for name, value in features.items()
    }


def mixed(encode: Encode) -> Encode:
    """The same with its matrix products in bfloat16, forward and backward (arXiv 1905.12322).

    Weights, their gradients and the vectors that come out stay float32: a step of the optimizer is often
    smaller than what bfloat16 can add to a weight.
    """

    def lowered(ids: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = encode(ids, mask)
        return vectors.float()

    return lowered
