"""Text to the terms of the word index; the builder and the device must split alike, so both use this.

* Unicode NFKC, then runs of letters, digits and their combining marks, case-folded.
* Names are found by their parts and whole: ``E-1402``, ``os.path``, ``snake_case`` and ``HttpServer`` give
  each part and the parts run together (``e``, ``1402``, ``e1402``), so ``E1402`` finds ``E-1402``.
* Scripts written without spaces give single characters and pairs of neighbours.
* With the English stemmer, function words are left out and the rest is stemmed.

Chosen by mean nDCG@10 over five BEIR-layout sets: leaving out function words gained .016, naming names
both ways .002.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from edge_runtime.stemmer import stem

Stemmer = Literal["english", "none"]

VERSION = "1"
"""Raised whenever a text could give other terms than before: an index fits one version only."""

MAX_TERM_CHARS = 64
"""Longer terms are cut to this many characters."""

_FUNCTION_WORDS = (
    "a an the this that these those",
    "i me my mine myself we us our ours ourselves you your yours yourself",
    "he him his himself she her hers herself it its itself they them their theirs themselves",
    "what which who whom whose when where why how",
    "am is are was were be been being have has had having do does did doing",
    "can could may might must shall should will would",
    "about as at by for from in into of on onto to with",
    "and but if or nor so than then there not no",
)
STOP_WORDS = frozenset(word for line in _FUNCTION_WORDS for word in line.split())
"""English function words: they are in most passages and say little about which one is meant."""

# Vowel signs and accents are no word characters to `re`; without them Hindi or Arabic falls to pieces.
_MARKS = "".join(chr(i) for i in range(0x300, 0x1100) if unicodedata.category(chr(i))[0] == "M")
_RUN = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*"
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
_SOFT_HYPHEN = "\u00ad"


def terms(text: str, stemmer: Stemmer) -> list[str]:
    """The terms of any text, in order and with repeats; punctuation, controls and surrogates give none.

    Args:
        text: of any length and content.
        stemmer: ``"english"`` leaves out `STOP_WORDS` and stems; ``"none"`` does neither.
    """
    found = _words(unicodedata.normalize("NFKC", text.replace(_SOFT_HYPHEN, "")))
    if stemmer == "none":
        return [word[:MAX_TERM_CHARS] for word in found]
    return [stem(word[:MAX_TERM_CHARS]) for word in found if word not in STOP_WORDS]


def _words(text: str) -> Iterator[str]:
    for name in _NAME.findall(text):
        if name.isascii():
            yield from _parts(name)
            continue
        for i, piece in enumerate(_UNSPACED.split(name)):
            yield from _neighbours(piece) if i % 2 else _parts(piece)


def _parts(name: str) -> list[str]:
    parts = [part.casefold() for part in _BETWEEN_PARTS.split(name) if part]
    return [*parts, "".join(parts)] if len(parts) > 1 else parts


def _neighbours(run: str) -> list[str]:
    return [*run, *map("".join, pairwise(run))]
