"""Texts of the kinds that people type, drawn from the documents without any model.

Titles, headings, first sentences, definitions, keywords and spans look like queries; other sentences are
queries of the inverse cloze task (Lee et al., ACL 2019). Source code gives what its names and
docstrings say. Sampling keeps memory bounded, whatever the size of the corpus.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from build_tools.corpus.document import Passage
from build_tools.distill import prose, source_code
from build_tools.distill.reservoir import Reservoir

MAX_CHARACTERS = 400
"""Longer texts are cut here: queries are short, and long text is what costs training time."""

SHARES = {
    "title": 0.15,
    "heading": 0.05,
    "first": 0.1,
    "definition": 0.15,
    "keywords": 0.15,
    "span": 0.2,
    "sentence": 0.2,
}
"""Of the drawn texts, by kind; a kind that runs short leaves its place to the others."""


def draw_texts(passages: Iterable[Passage], count: int, *, seed: int) -> list[str]:
    """At most `count` different texts by `SHARES`; the same passages and seed give the same texts."""
    rng = random.Random(seed)
    pools = {kind: Reservoir(count, seed) for kind in SHARES}
    for passage in passages if count else ():
        for kind, text in candidates(passage, rng):
            pools[kind].offer(text)
    return _blend({kind: pool.texts for kind, pool in pools.items()}, count, rng)


def candidates(passage: Passage, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Every text of a passage that could be learned from, tidied, with its kind, a key of `SHARES`."""
    for kind, text in _candidates(passage, rng):
        if tidy := tidied(text):
            yield kind, tidy


def tidied(text: str) -> str:
    """A text on one line with single spaces, at most `MAX_CHARACTERS` long."""
    return " ".join(text[: 4 * MAX_CHARACTERS].replace("\0", "").split())[:MAX_CHARACTERS].rstrip()


def _candidates(passage: Passage, rng: random.Random) -> Iterator[tuple[str, str]]:
    opens, title = passage.ordinal == 0, tidied(passage.title)
    if title and opens:
        yield from prose.from_title(title)
    if source_code.looks_like_code(passage.text):
        yield from source_code.candidates(passage.text, rng)
    else:
        yield from prose.headings(title, passage.text)
        yield from prose.from_sentences(passage.text, rng, opens=opens)


def _blend(pools: dict[str, list[str]], count: int, rng: random.Random) -> list[str]:
    """Up to `count` texts by `SHARES`, then whatever is left of any kind."""
    chosen: dict[str, None] = {}
    rest: list[str] = []
    for kind, texts in pools.items():
        share = round(SHARES[kind] * count)
        chosen.update(dict.fromkeys(texts[:share]))
        rest += texts[share:]
    rng.shuffle(rest)
    for text in rest:
        if len(chosen) >= count:
            break
        chosen.setdefault(text)
    return list(chosen)[:count]
