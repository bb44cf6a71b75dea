"""A base encoder's tokenizer as a bundle keeps it, and the teacher's vectors of its single tokens."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from build_tools.errors import ModelError
from build_tools.teacher import Teacher
from build_tools.workspace import write_atomically

TOKEN_VECTORS = "tokens.npy"


def plain_json(tokenizer: PreTrainedTokenizerBase) -> str:
    """tokenizer.json without the padding and truncation that the model's authors left in it.

    Raises:
        ModelError: there is no fast tokenizer behind it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{tokenizer.name_or_path}: has no fast tokenizer (tokenizer.json); use another base"
        )
    plain = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def token_vectors(
    tokenizer: PreTrainedTokenizerBase, teacher: Teacher, directory: Path
) -> NDArray[np.float32]:
    """The teacher's unit vectors of what each token spells, float32 (vocabulary, ndim); kept in `directory`.

    Tokens that spell nothing, special ones among them, get zeros: they say nothing until they are trained.
    """
    path = directory / TOKEN_VECTORS
    if not path.exists():
        texts = _spelt(Tokenizer.from_str(plain_json(tokenizer)))
        vectors = np.zeros((len(texts), teacher.ndim), np.float32)
        spelling = [token for token, text in enumerate(texts) if text]
        vectors[spelling] = teacher.encode_queries([texts[token] for token in spelling])
        write_atomically(path, partial(np.save, arr=vectors))
    loaded: NDArray[np.float32] = np.load(path)
    return loaded


def _spelt(tokenizer: Tokenizer) -> list[str]:
    """What each id spells when it stands alone, without the mark of a continued word; "" for special ones."""
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    texts = [tokenizer.decode([token]) for token in range(size)]
    return ["" if token in special else text.removeprefix("##").strip() for token, text in enumerate(texts)]
