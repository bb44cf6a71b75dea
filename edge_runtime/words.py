"""Text to the terms of the word index; the builder and the device must split alike, so both use this.

* Unicode NFKC, then runs of letters, digits and their combining marks, case-folded.
* Names are found by their parts and whole: ``E-1402``, ``os.path``, ``snake_case`` and ``HttpServer`` give
  each part and the parts run together (``e``, ``1402``, ``e1402``), so ``E1402`` finds ``E-1402``.
* Scripts written without spaces give single characters and pairs of neighbours.
* Function words are left out and the rest is stemmed, in the language of the texts (see `languages`).

Chosen by mean nDCG@10 over five BEIR-layout sets: leaving out function words gained .016, naming names
both ways .002.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.languages import MAX_TERM_CHARS as MAX_TERM_CHARS
from edge_runtime.languages import Stemmer as Stemmer
from edge_runtime.languages import cutter
from edge_runtime.marks import MARKS

VERSION = "2"
"""Raised whenever a text could give other terms than before: an index fits one version only, as a rule."""

READABLE = ("1", VERSION)
"""Versions whose indexes are read. To 1, marks above U+10FF were no parts of words: in Khmer such an index
finds what it always did, in Javanese and the like words without marks, in other scripts everything."""

_RUN = rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*"
_NAME = re.compile(rf"{_RUN}(?:(?:[-.\u2010]|_+){_RUN})*")
_BETWEEN_PARTS = re.compile(
    r"[-.\u2010]|_+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[0-9])|(?<=[A-Z])(?=[A-Z][a-z])",
)
_UNSPACED = re.compile(
    "(["
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005\u3041-\u3096\u30a1-\u30fa\u30fc\uac00-\ud7a3"  # kana, hangul
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # han
    "]+)"
)
SOFT_HYPHEN = "\u00ad"
"""Says where a word may be broken; no part of it."""


def terms(text: str, stemmer: Stemmer) -> list[str]:
    """The terms of any text, in order and with repeats; punctuation, controls and surrogates give none.

    Args:
        text: of any length and content.
        stemmer: what is left out, and how words are cut (see `languages`).
    """
    return list(each_term(text, stemmer))


def each_term(text: str, stemmer: Stemmer) -> Iterator[str]:
    """The same, one by one, for who needs the first few."""
    cut = cutter(stemmer)
    return (term for word in _words(normalized(text)) if (term := cut(word)) is not None)


def normalized(text: str) -> str:
    """The text as its words are looked for: NFKC, without soft hyphens."""
    return unicodedata.normalize("NFKC", text.replace(SOFT_HYPHEN, ""))


def term(word: str, stemmer: Stemmer) -> str | None:
    """The term of one case-folded word; None for one that is left out."""
    return cutter(stemmer)(word)


@dataclass(frozen=True, slots=True)
class Name:
    """A run of parts in a text, such as ``os.path`` or one plain word.

    Attributes:
        parts: start and end of each; every character is one in scripts written without spaces.
        unspaced: in such a script, so that pairs of neighbours are words, too.
    """

    parts: tuple[tuple[int, int], ...]
    unspaced: bool


def names(text: str) -> Iterator[Name]:
    """Where the names of a `normalized` text are, in order: what `terms` takes words from."""
    for match in _NAME.finditer(text):
        start, name = match.start(), match.group()
        for i, piece in enumerate((name,) if name.isascii() else _UNSPACED.split(name)):
            if i % 2:
                yield Name(tuple((at, at + 1) for at in range(start, start + len(piece))), unspaced=True)
            elif parts := tuple(_places(piece, start)):
                yield Name(parts, unspaced=False)
            start += len(piece)


def _places(name: str, start: int) -> Iterator[tuple[int, int]]:
    """The parts that `_parts` folds."""
    if name.isalpha() and (name[1:].islower() or len(name) == 1):  # most words, at a fraction of the price
        yield start, start + len(name)
        return
    begin = 0
    for between in _BETWEEN_PARTS.finditer(name):
        if between.start() > begin:
            yield start + begin, start + between.start()
        begin = between.end()
    if begin < len(name):
        yield start + begin, start + len(name)


def _words(text: str) -> Iterator[str]:
    for match in _NAME.finditer(text):
        name = match.group()
        if name.isascii():
            yield from _parts(name)
            continue
        for i, piece in enumerate(_UNSPACED.split(name)):
            yield from _neighbours(piece) if i % 2 else _parts(piece)


def _parts(name: str) -> list[str]:
    parts = [part.casefold() for part in _BETWEEN_PARTS.split(name) if part]
    return [*parts, "".join(parts)] if len(parts) > 1 else parts


def _neighbours(run: str) -> Iterator[str]:
    """Each character, and behind it its pair with the next."""
    for place, character in enumerate(run):
        yield character
        if place + 1 < len(run):
            yield run[place : place + 2]
