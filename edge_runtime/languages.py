"""A word to its term, in the language that a bundle's texts are in.

English has a stemmer of its own here (`stemmer`), so most bundles need no library. The other languages are
cut by Snowball's: `snowballstemmer`, plain Python, or `PyStemmer`, compiled, whichever is there. Both follow
Snowball's version numbers, and words are cut alike only within one minor version, so an index says by which
it was made.

Whatever is not English loses its accents and vowel marks after it was stemmed, for people leave them out when
they type: the stemmer sees them where they are. Function words are left out where a language has a list: they
are in most passages, cost the most to look up, and say little about which one is meant. Where it has none,
BM25 gives them next to no weight.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Literal

from edge_runtime.errors import CompatibilityError
from edge_runtime.function_words import FUNCTION_WORDS
from edge_runtime.stemmer import stem

Stemmer = Literal[
    "english", "none", "folded",
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip
"""A language of Snowball; or ``folded``, words without accents; or ``none``, words as they are."""

MAX_TERM_CHARS = 64
"""Longer terms are cut to this many characters."""

LIBRARIES = ("PyStemmer", "snowballstemmer")

# Accents of Latin, Greek and Cyrillic letters; Hebrew points; Arabic vowels and hamzas. Not the vowel signs
# of other scripts, which are letters by another name.
_MARKED = ((0x300, 0x36F), (0x591, 0x5C7), (0x610, 0x61A), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6ED))
_MARKS = [
    chr(code)
    for first, last in _MARKED
    for code in range(first, last + 1)
    if unicodedata.category(chr(code)) == "Mn"
]
# Letters that Unicode takes for letters of their own, and people for variants. Arabic: alef maksura, teh
# marbuta, Persian yeh and kaf; the line that stretches words is none.
_VARIANTS = {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "þ": "th"}
_VARIANTS |= {"ى": "ي", "ة": "ه", "ی": "ي", "ک": "ك", "ـ": ""}
_FOLDED = str.maketrans(_VARIANTS | dict.fromkeys(_MARKS, ""))


@lru_cache(None)
def cutter(stemmer: Stemmer) -> Callable[[str], str | None]:
    """What gives the term of one case-folded word; None for one that is left out.

    Raises:
        CompatibilityError: the language needs a library, and none is installed.
    """
    left_out = FUNCTION_WORDS.get(stemmer, frozenset())
    shortened = _stemming(stemmer)

    def cut(word: str) -> str | None:
        if word in left_out:
            return None
        return shortened(word[:MAX_TERM_CHARS])[:MAX_TERM_CHARS] or None

    return cut


def needs_library(stemmer: Stemmer) -> bool:
    """Whether it is Snowball's to cut the words."""
    return stemmer not in ("english", "none", "folded")


def snowball_version() -> str:
    """Major and minor of the installed library, such as ``3.1``: words are cut alike within one.

    Raises:
        CompatibilityError: none is installed.
    """
    from importlib import metadata  # some milliseconds, which most bundles do without

    for library in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            return ".".join(metadata.version(library).split(".")[:2])
    raise CompatibilityError(
        "words of this language are cut by Snowball, which is not installed; "
        "pip install 'edge-runtime[languages]'"
    )


def obstacle(stemmer: Stemmer, made_by: str | None) -> str | None:
    """Why the words of an index cannot be cut here as they were there; None where they can.

    Args:
        made_by: the version of Snowball that cut them.
    """
    if not needs_library(stemmer):
        return None
    try:
        installed = snowball_version()
    except CompatibilityError as error:
        return str(error)
    if installed == made_by:
        return None
    return (
        f"words were cut by Snowball {made_by}, {installed} is installed; "
        f"pip install 'snowballstemmer=={made_by}.*' or rebuild the bundle"
    )


def folded(word: str) -> str:
    """The word without accents and vowel marks; Indic, Thai and Korean signs stay."""
    if word.isascii():
        return word
    plain = unicodedata.normalize("NFD", word).translate(_FOLDED)
    return unicodedata.normalize("NFC", plain)


def _stemming(stemmer: Stemmer) -> Callable[[str], str]:
    if stemmer == "english":
        return stem
    if stemmer == "none":
        return str
    if stemmer == "folded":
        return folded
    return _snowball(stemmer)


def _snowball(language: str) -> Callable[[str], str]:
    snowball_version()
    try:
        from Stemmer import Stemmer as Library
    except ImportError:
        from snowballstemmer import stemmer as Library  # noqa: N812
    library, lock = Library(language), threading.Lock()

    @lru_cache(1 << 14)
    def stem(word: str) -> str:
        with lock:  # the word is kept in the stemmer while it is cut
            return folded(library.stemWord(word))

    return stem
