"""Where a text has the words of a query, as the word index sees both: normalized, in parts, stemmed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_runtime import words
from edge_runtime.words import Name, Stemmer

_CHUNK = re.compile(r"\s|\S+")  # normalization joins nothing across white space


@dataclass(frozen=True, slots=True)
class Match:
    """Words of the query in a text.

    Attributes:
        start: index of the first character.
        end: index behind the last one.
        terms: which of the query's terms are there.
    """

    start: int
    end: int
    terms: frozenset[str]


def wanted(query: str, stemmer: Stemmer) -> frozenset[str]:
    """The terms of a query that are worth showing.

    Of a name of several parts, a single letter or digit is none: ``E-1402`` must not light up every ``e``.
    Nor is one character of a longer run in a script without spaces.
    """
    text = words.normalized(query)
    found: set[str | None] = set()
    for name in words.names(text):
        found.update(words.term(word, stemmer) for word in _joined(name, text))
        alone = len(name.parts) == 1
        found.update(words.term(text[a:b].casefold(), stemmer) for a, b in name.parts if alone or b - a > 1)
    return frozenset(term for term in found if term is not None)


def matches(text: str, terms: frozenset[str], stemmer: Stemmer) -> list[Match]:
    """The words of a text that give one of the terms: rising, apart from each other, as indexes of `text`.

    A name is marked whole where the whole of it, or each of its parts, is wanted.
    """
    if not terms:
        return []
    normal, places = _normalized(text)
    found = [
        match
        for name in words.names(normal)
        for match in (_in_run if name.unspaced else _in_name)(name, normal, terms, stemmer)
    ]
    return found if places is None else list(_original(found, places))


def _joined(name: Name, text: str) -> list[str]:
    """The words that are made of several parts."""
    parts = [text[start:end].casefold() for start, end in name.parts]
    if len(parts) < 2:
        return []
    return list(map("".join, pairwise(parts))) if name.unspaced else ["".join(parts)]


def _in_name(name: Name, text: str, terms: frozenset[str], stemmer: Stemmer) -> Iterator[Match]:
    if len(name.parts) == 1:  # nearly all
        ((start, end),) = name.parts
        term = words.term(text[start:end].casefold(), stemmer)
        if term in terms:
            yield Match(start, end, frozenset((term,)))
        return
    parts = [
        Match(start, end, _found([text[start:end].casefold()], terms, stemmer)) for start, end in name.parts
    ]
    whole = _found(_joined(name, text), terms, stemmer)
    if whole or all(part.terms for part in parts):
        yield Match(parts[0].start, parts[-1].end, whole.union(*(part.terms for part in parts)))
    else:
        yield from (part for part in parts if part.terms)


def _in_run(name: Name, text: str, terms: frozenset[str], stemmer: Stemmer) -> Iterator[Match]:
    """Characters and pairs of neighbours; those that touch become one."""
    behind = name.parts[-1][1]
    spans = [(start, end) for start, _ in name.parts for end in (start + 1, start + 2) if end <= behind]
    found = (Match(start, end, _found([text[start:end]], terms, stemmer)) for start, end in spans)
    return _merged((match for match in found if match.terms), gap=1)


def _found(candidates: Sequence[str], terms: frozenset[str], stemmer: Stemmer) -> frozenset[str]:
    given = (words.term(word, stemmer) for word in candidates)
    return frozenset(term for term in given if term is not None and term in terms)


def _normalized(text: str) -> tuple[str, list[tuple[int, int]] | None]:
    """The normalized text and, where it is another, the stretch of `text` behind each of its characters."""
    if text.isascii() or (words.SOFT_HYPHEN not in text and unicodedata.is_normalized("NFKC", text)):
        return text, None
    normal: list[str] = []
    places: list[tuple[int, int]] = []
    for chunk in _CHUNK.finditer(text):
        for start, end in _clusters(chunk.group(), chunk.start()):
            piece = words.normalized(text[start:end])
            normal.append(piece)
            places += [(start, end)] * len(piece)
    return "".join(normal), places


def _clusters(chunk: str, offset: int) -> Iterator[tuple[int, int]]:
    """Stretches that may be normalized one by one; the whole chunk where that cannot be had."""
    starts = [i for i, letter in enumerate(chunk) if i == 0 or not _joins(letter)]
    spans = list(zip(starts, [*starts[1:], len(chunk)], strict=True))
    if "".join(words.normalized(chunk[a:b]) for a, b in spans) != words.normalized(chunk):
        spans = [(0, len(chunk))]
    return ((offset + start, offset + end) for start, end in spans)


def _joins(letter: str) -> bool:
    """Whether it belongs to the character before it."""
    normal = unicodedata.normalize("NFKC", letter)
    return unicodedata.category(normal[0])[0] == "M" or letter == words.SOFT_HYPHEN


def _original(found: Sequence[Match], places: Sequence[tuple[int, int]]) -> Iterator[Match]:
    """Matches in the text as it was given; those that fall into one stretch of it become one."""
    moved = (Match(places[m.start][0], places[m.end - 1][1], m.terms) for m in found)
    return _merged(moved, gap=0)


def _merged(found: Iterable[Match], *, gap: int) -> Iterator[Match]:
    """Matches in rising order, joined to the one before where fewer than `gap` characters are between."""
    last: Match | None = None
    for match in found:
        if last is not None and match.start < last.end + gap:
            last = Match(last.start, max(last.end, match.end), last.terms | match.terms)
            continue
        if last is not None:
            yield last
        last = match
    if last is not None:
        yield last
