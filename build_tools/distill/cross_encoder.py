"""A cross-encoder as second teacher: it reads query and passage together and says how well they fit.

Too slow to search with, and better than any pair of vectors at telling an answer from its neighbours
(arXiv 1901.04085, 2010.02666). Its scores of the mined candidates are computed once and kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder

from build_tools import shards
from build_tools.distill.lessons import Candidates
from build_tools.errors import ModelError
from build_tools.models import digest_of, quieten, reason

SCORES = "scores.npy"

Pair = tuple[str, str]
"""A query and a passage."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded cross-encoder.

    Attributes:
        name: its hub name, or its folder's.
        digest: identifies weights, tokenizer and the length at which it cuts texts, for cache keys.
    """

    model: CrossEncoder
    name: str
    digest: str
    batch_size: int

    @classmethod
    def load(cls, name: str, *, batch_size: int = 32) -> Scorer:
        """Loads the cross-encoder that `name`, a folder or hub name, stands for.

        Raises:
            ModelError: not found, not loadable, not a cross-encoder, or one of several labels.
        """
        quieten()
        try:
            model = CrossEncoder(name, device="cpu")
        except (
            Exception
        ) as error:  # every loader below raises its own kind: one error of ours serves them all
            raise ModelError(
                f"cross-encoder {name}: cannot be loaded ({reason(error)}). Give a sentence-transformers "
                "CrossEncoder folder, or a hub name that this machine can reach."
            ) from None
        _require_head(model, name)
        public = Path(name).resolve().name if Path(name).is_dir() else name
        return cls(model, public, digest_of(model, model.tokenizer, model.max_seq_length), batch_size)

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Logits, float32 (n,), higher is more relevant; batches are sorted by length.

        Raises:
            ModelError: a score is not a number.
        """
        predicted = self.model.predict(
            list(pairs),
            batch_size=self.batch_size,
            show_progress_bar=False,
            activation_fn=torch.nn.Identity(),  # by default it would squeeze them into 0 to 1
        )
        scores = np.asarray(predicted, np.float32).reshape(len(pairs))
        if not np.isfinite(scores).all():
            raise ModelError(f"cross-encoder {self.name}: gives scores that are not finite; name another one")
        return scores


def score_candidates(
    candidates: Candidates,
    contents: Mapping[int, str] | Sequence[str],
    directory: Path,
    *,
    scorer: Scorer,
    advance: Callable[[int], None],
) -> Candidates:
    """The same candidates with the cross-encoder's scores.

    Finished shards are kept in `directory`, so an interrupted call goes on. Whoever names `directory`
    takes ``scorer.digest`` and the candidates into its key.

    Args:
        contents: the passages' texts by row; those of the candidates are enough.
        advance: told how many more pairs are scored.

    Raises:
        ModelError: a score is not a number.
    """
    scores = shards.compute(
        _pairs(candidates, contents),
        candidates.rows.size,
        directory / SCORES,
        spread=shards.one_by_one(scorer.score),
        advance=advance,
    )
    return dataclasses.replace(candidates, scores=np.array(scores).reshape(candidates.rows.shape))


def _pairs(candidates: Candidates, contents: Mapping[int, str] | Sequence[str]) -> Iterator[Pair]:
    for text, rows in zip(candidates.texts, candidates.rows.tolist(), strict=True):
        for row in rows:
            yield text, contents[row]


def _require_head(model: CrossEncoder, name: str) -> None:
    """Refuses an encoder without a head: sentence-transformers would give it a random one, and a warning."""
    architectures: list[str] = getattr(getattr(model.model, "config", None), "architectures", None) or []
    if len(model) == 1 and architectures and not architectures[0].endswith("ForSequenceClassification"):
        raise ModelError(
            f"cross-encoder {name}: an encoder without a relevance head ({architectures[0]}); make a "
            "cross-encoder of it with edge-build train-reranker, or name another model"
        )
    if model.num_labels != 1:
        raise ModelError(f"cross-encoder {name}: gives {model.num_labels} labels; expected one score")
