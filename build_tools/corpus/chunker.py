"""Documents to passages: whole sentences packed up to a token budget, with some repeated at each seam.

A passage's text is a slice of the document's, so that what is shown is what was written. In front of it
stands what there was no room for in the title.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from build_tools.corpus.document import Document, Passage
from build_tools.corpus.sentences import spans
from build_tools.recipe import ChunkSpec

CountTokens = Callable[[Sequence[str]], list[int]]
"""Tokens of each text, special tokens not counted; one call for many texts."""

_WORD = re.compile(r"\S+")
_RUN = re.compile(r"\S{33,}")
_RUN_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class _Unit:
    """A stretch that is not divided further: start and end in the document's text, and its tokens."""

    start: int
    end: int
    tokens: int


def chunk(document: Document, spec: ChunkSpec, count_tokens: CountTokens) -> list[Passage]:
    """Cuts a document into passages of at most ``spec.max_tokens``, the title's tokens included.

    A sentence beyond the budget is divided at words, a word beyond it at characters. A title beyond half
    of the budget is cut to half, and its rest read before the text. The passages cover the text in order; the
    next one begins with the last whole units of the one before, as many as ``spec.overlap_tokens`` allows.

    The budget holds for every tokenizer in which a text has at most as many tokens as its parts together.
    """
    if spec.max_tokens is None:
        return [Passage(document.key, 0, document.title, document.text.strip(), document.metadata)]
    count = _with_runs(count_tokens)
    title, title_tokens = _fit_title(document.title, spec.max_tokens // 2, count)
    rest = document.title[len(title) :].strip()
    text = f"{rest}\n\n{document.text}" if rest else document.text
    room = spec.max_tokens - title_tokens
    units = _units(text, room, count)
    stretches = _pack(units, room, spec.overlap_tokens)
    return [
        Passage(document.key, ordinal, title, text[units[first].start : units[last].end], document.metadata)
        for ordinal, (first, last) in enumerate(stretches)
    ]


def _with_runs(count_tokens: CountTokens) -> CountTokens:
    """The same, but a long run without spaces counts a token for so many of its characters at least.

    To a tokenizer it may be one unknown word, whatever its length: text in a script that it lacks, say.
    """

    def count(texts: Sequence[str]) -> list[int]:
        return [
            tokens if len(text) <= tokens * _RUN_CHARACTERS else max(tokens, _tokens_of_runs(text))
            for text, tokens in zip(texts, count_tokens(texts), strict=True)
        ]

    return count


def _tokens_of_runs(text: str) -> int:
    return sum(len(run) // _RUN_CHARACTERS for run in _RUN.findall(text))


def _fit_title(title: str, most: int, count_tokens: CountTokens) -> tuple[str, int]:
    """The title, or the longest beginning of it that stays within `most` tokens, and its tokens."""
    tokens = count_tokens([title])[0] if title else 0
    if tokens <= most:
        return title, tokens
    parts = _divide(_Unit(0, len(title), tokens), title, most, count_tokens)
    return title[: parts[0].end], parts[0].tokens


def _units(text: str, room: int, count_tokens: CountTokens) -> list[_Unit]:
    """Sentences, those beyond `room` divided."""
    places = spans(text)
    counts = count_tokens([text[start:end] for start, end in places])
    units: list[_Unit] = []
    for (start, end), tokens in zip(places, counts, strict=True):
        unit = _Unit(start, end, tokens)
        units += [unit] if tokens <= room else _divide(unit, text, room, count_tokens)
    return units


def _divide(unit: _Unit, text: str, room: int, count_tokens: CountTokens) -> list[_Unit]:
    """A stretch beyond `room` as stretches within it, cut at words where possible."""
    places = [match.span() for match in _WORD.finditer(text, unit.start, unit.end)]
    counts = count_tokens([text[start:end] for start, end in places])
    words: list[_Unit] = []
    for (start, end), tokens in zip(places, counts, strict=True):
        words += _halve(_Unit(start, end, tokens), text, room, count_tokens)
    joined = [words[0]]
    for word in words[1:]:
        last = joined[-1]
        if last.tokens + word.tokens <= room:
            joined[-1] = _Unit(last.start, word.end, last.tokens + word.tokens)
        else:
            joined.append(word)
    return joined


def _halve(word: _Unit, text: str, room: int, count_tokens: CountTokens) -> list[_Unit]:
    """A word in equal pieces within `room`; a single character is never divided."""
    if word.tokens <= room or word.end - word.start < 2:
        return [word]
    middle = (word.start + word.end) // 2
    left, right = count_tokens([text[word.start : middle], text[middle : word.end]])
    return [
        *_halve(_Unit(word.start, middle, left), text, room, count_tokens),
        *_halve(_Unit(middle, word.end, right), text, room, count_tokens),
    ]


def _pack(units: Sequence[_Unit], room: int, overlap: int) -> list[tuple[int, int]]:
    """First and last unit of each passage; each passage has at least one unit that none before it has."""
    stretches: list[tuple[int, int]] = []
    first = end = 0
    while end < len(units):
        tokens = sum(unit.tokens for unit in units[first:end])
        end, tokens = end + 1, tokens + units[end].tokens
        while end < len(units) and tokens + units[end].tokens <= room:
            tokens += units[end].tokens
            end += 1
        stretches.append((first, end - 1))
        if end < len(units):
            first = _overlap_start(units, first, end, min(overlap, room - units[end].tokens))
    return stretches


def _overlap_start(units: Sequence[_Unit], first: int, end: int, allowed: int) -> int:
    """Where the passage after the one of units `first` to `end` starts, at most `allowed` tokens back."""
    start, tokens = end, 0
    while start - 1 > first and tokens + units[start - 1].tokens <= allowed:
        start -= 1
        tokens += units[start].tokens
    return start
