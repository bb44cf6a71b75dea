"""What the loading of any model needs: silence, one line of a dependency's error, and an identity."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import torch
from torch import nn


def quieten() -> None:
    """Progress bars and notices of the libraries would bury the build's own."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def reason(error: Exception) -> str:
    """The first line of a dependency's error, for a message of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def digest_of(model: nn.Module, tokenizer: Any, *parts: object) -> str:
    """Identifies weights, tokenizer, architecture and `parts`, for cache keys."""
    digest = hashlib.sha256(repr((parts, str(model))).encode())
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        digest.update(backend.to_str().encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
