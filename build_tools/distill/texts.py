"""Training text for the students, made from the passages themselves: titles, sentences and short spans.

No labels and no test queries. Spans are runs of 3 to 12 words, the length of what people type. Drawing is
by reservoir (Vitter 1985, algorithm R), so a corpus of any size streams through bounded memory.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tools.corpus.document import Passage
from build_tools.corpus.sentences import sentences
from build_tools.errors import DataError
from build_tools.recipe import TrainingSpec

MAX_CHARACTERS = 400
"""Longer sentences are cut here: queries are short, and long text is what costs training time."""

SHARES = {"title": 0.25, "sentence": 0.4, "span": 0.35}
"""Of the training texts, by kind; a kind that runs short leaves its place to the others."""


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """Texts to learn from, and texts that no student sees while it learns."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def draw(passages: Iterable[Passage], spec: TrainingSpec) -> TrainingTexts:
    """Draws the texts for one corpus; the same passages and seed give the same texts.

    Raises:
        DataError: the extra query file cannot be read, or there is too little text to learn from.
    """
    rng = random.Random(spec.seed)
    pools = {kind: Reservoir(spec.texts, rng) for kind in SHARES}
    for passage in passages:
        for kind, text in candidates(passage, rng):
            pools[kind].offer(text)
    texts = _blend({kind: pool.items for kind, pool in pools.items()}, spec.texts)
    texts += read_lines(Path(spec.queries)) if spec.queries else []
    return _split(sorted(set(texts)), spec.held_out, rng)


def candidates(passage: Passage, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Every text of a passage that could be learned from, with its kind."""
    if passage.title and passage.ordinal == 0:
        yield "title", passage.title[:MAX_CHARACTERS]
    for sentence in sentences(passage.text):
        words = sentence.split()
        if len(words) < 3:
            continue
        yield "sentence", sentence[:MAX_CHARACTERS]
        length = rng.randint(3, min(12, len(words)))
        start = rng.randint(0, len(words) - length)
        yield "span", " ".join(words[start : start + length])[:MAX_CHARACTERS]


class Reservoir:
    """A uniform sample of bounded size from a stream of unknown length."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self.items: list[str] = []
        self._size, self._rng, self._seen = size, rng, 0

    def offer(self, item: str) -> None:
        """Takes `item` with the right probability."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (place := self._rng.randrange(self._seen)) < self._size:
            self.items[place] = item


def read_lines(path: Path) -> list[str]:
    """The non-blank lines of a UTF-8 file.

    Raises:
        DataError: missing, or not UTF-8.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"training.queries {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"training.queries {path}: not UTF-8 at byte {error.start}") from None
    return [line.strip()[:MAX_CHARACTERS] for line in lines if line.strip()]


def _blend(pools: dict[str, list[str]], count: int) -> list[str]:
    """Up to `count` texts by `SHARES`, then whatever is left of any kind."""
    chosen: list[str] = []
    rest: list[str] = []
    for kind, items in pools.items():
        share = round(SHARES[kind] * count)
        chosen += items[:share]
        rest += items[share:]
    return chosen + rest[: max(0, count - len(chosen))]


def _split(texts: list[str], held_out: int, rng: random.Random) -> TrainingTexts:
    if len(texts) < 20:
        raise DataError(f"only {len(texts)} different texts to learn from; 20 are the least that makes sense")
    rng.shuffle(texts)
    kept = min(held_out, len(texts) // 10 + 1)
    return TrainingTexts(training=tuple(texts[kept:]), held_out=tuple(texts[:kept]))
