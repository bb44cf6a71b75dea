"""The base encoder: the transformer that a student is cut from, with its tokenizer and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from build_tools.errors import ModelError
from build_tools.towers import Tower, load_model


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base encoder.

    Attributes:
        pooling: how it pools token states; "mean" where it does neither, as plain encoders.
        aligned: its pooled states point where the teacher's vectors do, so that a student of the same
            width needs no projection.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    pooling: Literal["mean", "cls"]
    aligned: bool

    @property
    def layers(self) -> int:
        """How many layers it has."""
        count: int = self.model.config.num_hidden_layers
        return count

    @classmethod
    def load(cls, tower: Tower, name: str) -> Base:
        """The teacher's own encoder for `teacher` (or the teacher's name), or that of another model.

        A sentence-transformers model is taken with its pooling; a plain transformers encoder is mean-pooled.

        Args:
            name: ``encoders.base`` of the recipe.

        Raises:
            ModelError: it cannot be loaded, or is no transformer.
        """
        if name in ("teacher", tower.source):
            return cls._of(tower.model, name, aligned=_is_plain(tower.model))
        model, _, _ = load_model(name, field="encoders.base")
        return cls._of(model, name, aligned=False)

    @classmethod
    def _of(cls, model: SentenceTransformer, name: str, *, aligned: bool) -> Base:
        encoder = getattr(model[0], "auto_model", None)
        if not isinstance(encoder, PreTrainedModel):
            raise ModelError(
                f"encoders.base {name}: not a transformer; name one, such as `packaged`; any teacher will do"
            )
        tokenizer: PreTrainedTokenizerBase = model.tokenizer
        return cls(encoder, tokenizer, _pooling(model), aligned)


def _pooling(model: SentenceTransformer) -> Literal["mean", "cls"]:
    modes = {module.pooling_mode for module in model if isinstance(module, Pooling)}
    return "cls" if modes & {"cls", ("cls",)} else "mean"


def _is_plain(model: SentenceTransformer) -> bool:
    """Whether vectors are the pooled states; a dense layer after the pooling would turn them."""
    return all(isinstance(module, (Transformer, Pooling, Normalize)) for module in model)
