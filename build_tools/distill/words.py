"""Words: which carry meaning, how identifiers are made of them, and when two texts say the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge_runtime.marks import MARKS

_STOP_WORD_LIST = (
    "a about above after again against all almost also although always am among an and another any are as "
    "at be because been before being below between both but by can cannot could did do does doing done "
    "down during each either etc even ever every few for from further get gets given had has have having "
    "he hence her here hers herself him himself his how however i if in into is it its itself just least "
    "less like made make makes many may me might more most much must my myself neither no nor not now of "
    "off often on once one only onto or other our ours ourselves out over own per quite rather same shall "
    "she should since so some such than that the their theirs them themselves then there therefore these "
    "they this those though through thus to together too toward under until up upon us use used uses "
    "using very via was we well were what when where whether which while who whom whose why will with "
    "within without would yet you your yours yourself"
)
STOP_WORDS = frozenset(_STOP_WORD_LIST.split())
"""English words that people leave out when they type keywords."""

_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(rf"\w[\w{MARKS}]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PIECE = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"[^\W_][_.:]+[^\W_]|[a-z][A-Z]")
_EDGES = "\"'`“”‘’«»()[]{}<>,;:!?.…*=|#"
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def fold(text: str) -> str:
    """The words of `text` without case, punctuation and spacing: texts that share it ask the same thing.

    A text without any word is itself but for case and spacing.
    """
    folded = text.casefold()
    return " ".join(_WORD.findall(folded)) or " ".join(folded.split())


def units(sentence: str) -> tuple[list[str], str]:
    """What a sentence is cut into and joined by: words, or characters in scripts written without spaces."""
    if not sentence.isascii() and len(_UNSPACED.findall(sentence)) * 2 > len(sentence):
        return [character for character in sentence if not character.isspace()], ""
    return sentence.split(), " "


def has_letter(word: str) -> bool:
    """Whether it is more than digits and marks."""
    return word.isalpha() or _LETTER.search(word) is not None


def content_words(words: Sequence[str]) -> list[str]:
    """Those that carry meaning, in order, each once, without the punctuation around them."""
    bare = (word.strip(_EDGES) for word in words)
    kept = [word for word in bare if len(word) > 1 and has_letter(word) and word.casefold() not in STOP_WORDS]
    return list(dict.fromkeys(kept))


def identifier_words(name: str) -> list[str]:
    """``writeHTTPHeader_to`` as ``write http header to``."""
    return [piece.lower() for piece in _PIECE.findall(_HUMP.sub(" ", name))]


def is_identifier(text: str) -> bool:
    """Whether `text` is one name of several words, as programs have them: ``os.path``, ``readLine``."""
    head = text.partition("(")[0].strip()
    return bool(head) and not any(map(str.isspace, head)) and _JOINED.search(head) is not None


def identifiers(text: str) -> list[str]:
    """Every name in a stretch of source code, in order."""
    return _IDENTIFIER.findall(text)
