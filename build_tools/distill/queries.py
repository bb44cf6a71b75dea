"""The queries that students learn from, best first: labels, a log, a generator model, the documents.

A share of all of them never trains, in any spelling: the learning curve, the quality card and the golden
queries are measured on it. No query of the evaluation trains either.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tools.corpus import utf8
from build_tools.corpus.document import Passage
from build_tools.distill.drawing import draw_texts, tidied
from build_tools.distill.noise import noisy
from build_tools.distill.reservoir import Reservoir
from build_tools.distill.words import fold
from build_tools.errors import DataError
from build_tools.recipe_training import QueriesSpec

LOG_TEXTS = 200_000
"""Different queries of a log that are used at most, a random sample of it."""

LEAST_TEXTS = 20
"""Fewer different texts teach nothing."""


@dataclass(frozen=True, slots=True)
class TrainingQueries:
    """Texts to learn from, and texts that no student sees while it learns; none of them twice.

    Attributes:
        training: labelled queries first, then logged, written and drawn ones, then noisy copies.
        held_out: in random order. None is a training text, whatever the case, punctuation and spacing.
        held_out_labelled: the labelled queries, as they were given, that are held out: none of their pairs
            may train.
        barred: texts left out because they are queries of the evaluation.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    held_out_labelled: tuple[str, ...]
    barred: int


def draw(
    passages: Iterable[Passage],
    spec: QueriesSpec,
    *,
    seed: int,
    labelled: Collection[str] = (),
    written: Iterable[str] = (),
    evaluation: Iterable[str] = (),
) -> TrainingQueries:
    """The training queries of one corpus; the same arguments give the same queries.

    Args:
        passages: the documents, of which ``spec.generated`` texts are drawn.
        seed: of every random choice.
        labelled: queries of the labelled pairs.
        written: queries that a generator model wrote.
        evaluation: queries that the bundle will be measured on; none of them trains or is held out.

    Raises:
        DataError: the log cannot be read, or there is too little text to learn from.
    """
    barred = {fold(tidied(text)) for text in evaluation}
    folds = {
        text: fold(text) for text in _sources(passages, spec, seed=seed, labelled=labelled, written=written)
    }
    texts = [text for text, words in folds.items() if words not in barred]
    if len(texts) < LEAST_TEXTS:
        # As many as the recipe lets be drawn, or as many as there are.
        capped = len(folds) >= spec.generated
        advice = "Raise queries.generated, or" if capped else "The documents give no more; add documents, or"
        raise DataError(
            f"queries: only {len(texts)} different texts to learn from; {LEAST_TEXTS} are the least that "
            f"makes sense. {advice} name queries.log or queries.labels."
        )
    rng = random.Random(seed)
    held_out = _hold_out({folds[text]: text for text in reversed(texts)}, spec.held_out, rng)
    training = [text for text in texts if folds[text] not in held_out]
    training += _noisy_copies(training, spec.noise, rng, barred | held_out.keys())
    return TrainingQueries(
        training=tuple(training),
        held_out=tuple(held_out.values()),
        held_out_labelled=tuple(text for text in dict.fromkeys(labelled) if fold(tidied(text)) in held_out),
        barred=len(folds) - len(texts),
    )


def read_log(path: Path, *, seed: int) -> list[str]:
    """The different queries of a log, one a line, UTF-8; a random sample of `LOG_TEXTS` if there are more.

    Raises:
        DataError: missing, blank, or not UTF-8.
    """
    sample = Reservoir(LOG_TEXTS, seed)
    try:
        with path.open("rb") as file:
            sample.extend(filter(None, map(tidied, _lines(file, utf8.printable(path)))))
    except OSError as error:
        raise DataError(f"queries.log {utf8.printable(path)}: cannot be read ({error.strerror})") from None
    if not sample.texts:
        raise DataError(f"queries.log {utf8.printable(path)}: expected a query in each line; found none")
    return sample.texts


def _lines(file: Iterable[bytes], path: str) -> Iterator[str]:
    for number, raw in enumerate(file, 1):
        try:
            yield utf8.decode(raw)
        except utf8.NotUtf8Error as error:
            raise DataError(f"queries.log {path}:{number}: expected UTF-8; {error}") from None


def _sources(
    passages: Iterable[Passage],
    spec: QueriesSpec,
    *,
    seed: int,
    labelled: Iterable[str],
    written: Iterable[str],
) -> Iterator[str]:
    """Every text, the best source first, tidied."""
    yield from filter(None, map(tidied, labelled))
    if spec.log:
        yield from read_log(Path(spec.log).expanduser(), seed=seed)
    yield from filter(None, map(tidied, written))
    yield from draw_texts(passages, spec.generated, seed=seed)


def _hold_out(texts: Mapping[str, str], count: int, rng: random.Random) -> dict[str, str]:
    """A random choice of `count` of the texts by their fold, at most a tenth of them, in random order."""
    chosen = rng.sample(list(texts), min(count, len(texts) // 10 + 1))
    return {words: texts[words] for words in chosen}


def _noisy_copies(
    texts: Sequence[str], share: float, rng: random.Random, barred: Collection[str]
) -> Iterator[str]:
    """New texts: noisy copies of a share of `texts`, none of which says what a barred one does."""
    known = set(texts)
    for text in rng.sample(texts, round(share * len(texts))):
        copy = tidied(noisy(text, rng))
        if copy and copy not in known and fold(copy) not in barred:
            known.add(copy)
            yield copy
