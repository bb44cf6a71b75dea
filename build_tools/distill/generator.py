"""Queries that a local model writes for passages, as doc2query does (Nogueira and Lin, 2019).

Any sequence-to-sequence model of transformers serves. Queries are sampled, with a seed of its own for each
shard of passages, and shards are kept: an interrupted run goes on where it was, and ends the same.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_tools.distill.drawing import tidied
from build_tools.distill.reservoir import Reservoir
from build_tools.errors import BuildError, ModelError
from build_tools.workspace import write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHARD = 64
"""Passages in a shard: a minute or so of work to lose."""

BATCH = 16
"""Passages that the model reads at once."""

MAX_INPUT_TOKENS = 512
MAX_QUERY_TOKENS = 48

MOST_EACH = 8
"""Queries for one passage at most; more only repeat each other."""

TOP_K = 10
"""Tokens that are sampled from, as in docTTTTTquery (Nogueira and Lin, 2019)."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A loaded model that writes queries.

    Attributes:
        digest: identifies weights and tokenizer, for caching.
    """

    model: PreTrainedModel
    tokenizer: Any
    digest: str

    @classmethod
    def load(cls, name: str) -> Generator:
        """Loads a folder or hub name.

        Raises:
            ModelError: not found, not loadable, or not a sequence-to-sequence model.
        """
        # Imported here: a build without a generator needs none of it.
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from build_tools.models import digest_of, quieten, reason

        quieten()
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
            model = AutoModelForSeq2SeqLM.from_pretrained(name).eval()
        except Exception as error:  # every loader below raises its own kind: one of ours serves them all
            raise ModelError(
                f"queries.generator {name}: cannot be loaded ({reason(error)}). Give the folder or hub name "
                "of a sequence-to-sequence model, such as doc2query's."
            ) from None
        if tokenizer.pad_token_id is None:
            raise ModelError(
                f"queries.generator {name}: its tokenizer has no padding token; name another model"
            )
        return cls(model, tokenizer, digest_of(model, tokenizer))

    def write(self, texts: Sequence[str], each: int, *, seed: int) -> list[str]:
        """`each` sampled queries for every text, in order; the same texts and seed give the same queries."""
        import torch

        written: list[str] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(seed)
            for first in range(0, len(texts), BATCH):
                written += self._write_batch(texts[first : first + BATCH], each)
        return written

    def _write_batch(self, texts: Sequence[str], each: int) -> list[str]:
        inputs = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._max_input(), return_tensors="pt"
        )
        generate: Any = self.model.generate
        ids = generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=True,
            top_k=TOP_K,
            max_new_tokens=MAX_QUERY_TOKENS,
            num_return_sequences=each,
        )
        decoded: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return decoded

    def _max_input(self) -> int:
        positions = getattr(self.model.config, "max_position_embeddings", None) or MAX_INPUT_TOKENS
        return int(min(self.tokenizer.model_max_length, positions, MAX_INPUT_TOKENS))


def write_resumably(
    contents: Iterable[str],
    count: int,
    directory: Path,
    *,
    generator: Generator,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[str, ...]:
    """At most `count` different queries for passages chosen at random.

    Finished shards are kept in `directory`; a second call with the same arguments writes only the rest.

    Args:
        contents: what the passages say, title included.
        advance: told how many more queries are written, `count` in the end or a few more.

    Raises:
        BuildError: there are no passages.
    """
    sample = Reservoir(count, seed)
    sample.extend(contents)
    chosen = sample.texts
    if not chosen:
        raise BuildError("queries.generator: expected passages to write queries for; found none")
    each = min(MOST_EACH, math.ceil(count / len(chosen)))
    written: list[str] = []
    for number, first in enumerate(range(0, len(chosen), SHARD)):
        shard = chosen[first : first + SHARD]
        path = directory / f"queries-{number:06d}.json"
        if not path.exists():
            queries = generator.write(shard, each, seed=_shard_seed(seed, number))
            _save(queries, path)
        written += json.loads(path.read_text("utf-8"))
        advance(each * len(shard))
    return tuple(dict.fromkeys(filter(None, map(tidied, written))))[:count]


def _save(queries: Sequence[str], path: Path) -> None:
    data = json.dumps(queries, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    write_atomically(path, lambda file: file.write(data))


def _shard_seed(seed: int, number: int) -> int:
    return random.Random(f"{seed} {number}").getrandbits(63)
