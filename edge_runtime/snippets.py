"""The part of a passage that best shows why it was found, and the words to mark there.

By words alone: no encoder runs. A snippet begins with a sentence (or where the words are, in a sentence
that is longer than the snippet may be) and ends with one, or between words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from edge_runtime import highlight
from edge_runtime.highlight import Match
from edge_runtime.words import Stemmer

# What follows must not go on in lower case: "e.g. this" is inside a sentence. A blank line ends one, too.
_SENTENCE = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?![\sa-z])|(?<=[。！？])(?![。！？])[」』”’)]*\s*|\n\s*\n\s*"
)
_SPACE = re.compile(r"\s+")
_LEAD = 4  # of a long sentence a quarter of the snippet may stand before the first word that matters
_JOINER = "\u200d"
_START, _END = itemgetter(0), itemgetter(1)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of a text.

    Attributes:
        text: as it stands there.
        spans: start and end of each stretch of words that the query has, too: indexes of this `text`, rising,
            apart from each other.
        start: where the snippet begins in the whole text.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    start: int


def snippet(text: str, query: str, *, max_chars: int, stemmer: Stemmer) -> Snippet:
    """The part of `text`, at most `max_chars` characters, that has most of the query's words; its beginning
    where it has none. White space around it is left out.
    """
    begin = len(text) - len(text.lstrip())
    length = len(text.rstrip())
    if begin >= length:
        return Snippet("", (), 0)
    found = highlight.matches(text, highlight.wanted(query, stemmer), stemmer)
    ends = [end for match in _SENTENCE.finditer(text) if begin < (end := match.end()) < length]
    spaces = [space.span() for space in _SPACE.finditer(text)] if length - begin > max_chars else []
    indexes: dict[str, list[int]] = {}
    for index, match in enumerate(found):
        for term in match.terms:
            indexes.setdefault(term, []).append(index)
    search = _Search(text, max_chars, (begin, *ends), (*ends, length), spaces, found, indexes)
    return search.best()


@dataclass(frozen=True, slots=True)
class _Search:
    """The windows of a text that a snippet may be: sentence i is from starts[i] up to ends[i].

    There are as many as words, and each may be as long as the text: none is read through.

    Attributes:
        spaces: start and end of each stretch of white space; none where the whole text fits.
        indexes: of the matches that have a term.
    """

    text: str
    max_chars: int
    starts: Sequence[int]
    ends: Sequence[int]
    spaces: Sequence[tuple[int, int]]
    found: Sequence[Match]
    indexes: Mapping[str, Sequence[int]]

    def best(self) -> Snippet:
        """Most terms, then most in the first sentence, then the earliest."""
        best, most = (self.starts[0], self.ends[0]), (-1, -1)
        for start in self._candidates():
            end = self._end(start)
            sentence = self.ends[bisect_right(self.ends, start)]
            worth = self._terms(start, end), self._terms(start, min(end, sentence))
            if worth > most:
                best, most = (start, end), worth
        start, end = best
        within = self.found[slice(*self._within(start, end))]
        spans = tuple((one.start - start, one.end - start) for one in within)
        return Snippet(self.text[start:end], spans, start)

    def _candidates(self) -> Iterator[int]:
        """Where a snippet may start: with a sentence, or in one, before a word too far from its start."""
        if self.ends[-1] - self.starts[0] <= self.max_chars:
            yield self.starts[0]
            return
        yield from self.starts
        for match in self.found:
            sentence = self.starts[bisect_right(self.starts, match.start) - 1]
            if match.end > sentence + self.max_chars:
                before = match.start - self.max_chars // _LEAD
                yield self._behind_space(before, match.start)

    def _end(self, start: int) -> int:
        """With a sentence, unless that wastes half of the snippet; else between words; else where it must."""
        limit = start + self.max_chars
        if limit >= self.ends[-1]:
            return self.ends[-1]
        sentences = bisect_right(self.ends, limit)
        end = self.ends[sentences - 1] if sentences else start
        if end - start <= self.max_chars // 2:
            last = bisect_right(self.spaces, limit, key=_START) - 1
            spaced = last >= 0 and self.spaces[last][1] > start
            end = self.spaces[last][0] if spaced else self._between_letters(start, limit)
        return self._without_space(start, end)

    def _behind_space(self, start: int, end: int) -> int:
        """Where the first white space from `start` ends; `end` where it comes no earlier."""
        first = bisect_right(self.spaces, start, key=_END)
        return min(self.spaces[first][1], end) if first < len(self.spaces) else end

    def _without_space(self, start: int, end: int) -> int:
        """`end`, before any white space in front of it; not before `start`."""
        last = bisect_left(self.spaces, end, key=_START) - 1
        spaced = last >= 0 and self.spaces[last][1] >= end
        return max(start, self.spaces[last][0] if spaced else end)

    def _between_letters(self, start: int, end: int) -> int:
        """`end`, or before it, where no accent or other part of a letter or an emoji is cut off."""
        text = self.text
        for at in range(end, start, -1):
            part = unicodedata.category(text[at])[0] == "M" or _JOINER in (text[at], text[at - 1])
            if not part:
                return at
        return end

    def _terms(self, start: int, end: int) -> int:
        first, behind = self._within(start, end)
        if behind - first <= len(self.indexes):
            return len(frozenset[str]().union(*(match.terms for match in self.found[first:behind])))
        return sum(bisect_left(each, first) < bisect_left(each, behind) for each in self.indexes.values())

    def _within(self, start: int, end: int) -> tuple[int, int]:
        """Indexes of the first match, and of that behind the last."""
        first = bisect_left(self.found, start, key=lambda match: match.start)
        return first, bisect_right(self.found, end, key=lambda match: match.end)
