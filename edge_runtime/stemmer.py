"""The Snowball English stemmer ("Porter2") in plain Python: ``connections`` and ``connecting`` → ``connect``.

Desktop and device must cut words alike, and a compiled stemmer is not among the device's few
dependencies. This follows the published definition of the algorithm as of Snowball 3.1
(https://snowballstem.org/algorithms/english/stemmer.html) and gives PyStemmer 3.1's stems, letter for letter.

Terms of that page: *R1* is what follows the first non-vowel after a vowel, *R2* the same within R1; both
are kept here as the position where they start. ``Y`` marks a y that acts as a consonant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_CACHED_WORDS = 1 << 14

_REGION = re.compile(r"[aeiouy][^aeiouy]")
_VOWEL = re.compile(r"[aeiouy]")
_SHORT_SYLLABLE = re.compile(r"(?:[^aeiouy][aeiouy][^aeiouywxY]|^[aeiouy][^aeiouy]|past)\Z")

_WHOLE_WORDS = {
    "skis": "ski",
    "skies": "sky",
    "idly": "idl",
    "gently": "gentl",
    "ugly": "ugli",
    "early": "earli",
    "only": "onli",
    "singly": "singl",
} | {word: word for word in ("sky", "news", "howe", "atlas", "cosmos", "bias", "andes")}

_R1_AFTER = re.compile(r"gener|commun|arsen|past|univers|later|emerg|organ|inter")

_KEEPS_EED = frozenset(("proc", "exc", "succ"))
_KEEPS_ING = frozenset(("inn", "out", "cann", "herr", "earr", "even"))
_DOUBLES = frozenset(("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"))
_KEEPS_DOUBLE_AFTER = frozenset("aeo")
_LI_ENDINGS = frozenset("cdeghkmnrt")


def _suffixes(rules: Mapping[str, str]) -> dict[str, str]:
    """``{"izer ization": "ize"}`` as one entry a suffix."""
    return {suffix: replacement for listed, replacement in rules.items() for suffix in listed.split()}


_STEP_1B = _suffixes({"eed eedly": "eed", "ed edly": "ed", "ing": "ing", "ingly": "ed"})
_STEP_2 = _suffixes(
    {
        "tional": "tion",
        "enci": "ence",
        "anci": "ance",
        "abli": "able",
        "entli": "ent",
        "izer ization": "ize",
        "ational ation ator": "ate",
        "alism aliti alli": "al",
        "fulness fulli": "ful",
        "ousli ousness": "ous",
        "iveness iviti": "ive",
        "biliti bli": "ble",
        "ogist ogi": "og",
        "lessli": "less",
        "li": "",
    }
)
_STEP_3 = _suffixes(
    {
        "tional": "tion",
        "ational": "ate",
        "alize": "al",
        "icate iciti ical": "ic",
        "ful ness ative": "",
    }
)
_STEP_4 = _suffixes(
    {"al ance ence er ic able ible ant ement ment ent ism ate iti ous ive ize ion": ""},
)


@lru_cache(_CACHED_WORDS)
def stem(word: str) -> str:
    """The stem of one lower-case word; words of one or two letters, and other scripts, stay as they are."""
    if word in _WHOLE_WORDS:
        return _WHOLE_WORDS[word]
    if len(word) < 3:
        return word
    word = _mark_consonant_y(word.removeprefix("'"))
    r1, r2 = _regions(word)
    word = _step_1a(word)
    word = _step_1b(word, r1)
    word = _step_1c(word)
    word = _step_2(word, r1)
    word = _step_3(word, r1, r2)
    word = _step_4(word, r2)
    word = _step_5(word, r1, r2)
    return word.replace("Y", "y")


def _mark_consonant_y(word: str) -> str:
    if "y" not in word:
        return word
    marked = ""
    for letter in word:
        after_vowel = marked[-1:] in tuple("aeiouy")
        marked += "Y" if letter == "y" and (after_vowel or not marked) else letter
    return marked


def _regions(word: str) -> tuple[int, int]:
    first = _R1_AFTER.match(word) or _REGION.search(word)
    if first is None:
        return len(word), len(word)
    second = _REGION.search(word, first.end())
    return first.end(), second.end() if second else len(word)


def _longest_suffix(word: str, suffixes: Mapping[str, str], longest: int) -> str:
    for length in range(longest, 0, -1):
        if word[-length:] in suffixes:
            return word[-length:]
    return ""


def _step_1a(word: str) -> str:
    """Possessives and plurals."""
    for possessive in ("'s'", "'s", "'"):
        if word.endswith(possessive):
            word = word.removesuffix(possessive)
            break
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _VOWEL.search(word[:-2]):
        return word[:-1]
    return word


def _step_1b(word: str, r1: int) -> str:
    """Past tense, gerund and the adverbs made of them."""
    suffix = _longest_suffix(word, _STEP_1B, 5)
    if not suffix:
        return word
    before = word[: -len(suffix)]
    kind = _STEP_1B[suffix]
    if kind == "eed":
        return word if len(before) < r1 or before in _KEEPS_EED else before + "ee"
    if kind == "ing" and before in _KEEPS_ING:
        return word
    if kind == "ing" and len(before) == 2 and before[1] == "y" and not _VOWEL.match(before):
        return before[0] + "ie"
    return _repair(before, r1) if _VOWEL.search(before) else word


def _repair(word: str, r1: int) -> str:
    """The infinitive of what is left once ``ed`` or ``ing`` is gone."""
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if word[-2:] in _DOUBLES:
        return word if word[:-2] in _KEEPS_DOUBLE_AFTER else word[:-1]
    return word + "e" if len(word) == r1 and _SHORT_SYLLABLE.search(word) else word


def _step_1c(word: str) -> str:
    """``cry`` → ``cri``, but not ``by`` or ``say``."""
    if len(word) > 2 and word[-1] in "yY" and not _VOWEL.match(word[-2]):
        return word[:-1] + "i"
    return word


def _step_2(word: str, r1: int) -> str:
    suffix = _longest_suffix(word, _STEP_2, 7)
    before = word[: len(word) - len(suffix)]
    if not suffix or len(before) < r1:
        return word
    if suffix == "ogi" and not before.endswith("l"):
        return word
    if suffix == "li" and before[-1:] not in _LI_ENDINGS:
        return word
    return before + _STEP_2[suffix]


def _step_3(word: str, r1: int, r2: int) -> str:
    suffix = _longest_suffix(word, _STEP_3, 7)
    before = word[: len(word) - len(suffix)]
    if not suffix or len(before) < (r2 if suffix == "ative" else r1):
        return word
    return before + _STEP_3[suffix]


def _step_4(word: str, r2: int) -> str:
    suffix = _longest_suffix(word, _STEP_4, 5)
    before = word[: len(word) - len(suffix)]
    if not suffix or len(before) < r2 or (suffix == "ion" and not before.endswith(("s", "t"))):
        return word
    return before


def _step_5(word: str, r1: int, r2: int) -> str:
    """A last ``e``, or one of two ``l``."""
    before = word[:-1]
    if word.endswith("e"):
        droppable = len(before) >= r2 or (len(before) >= r1 and not _SHORT_SYLLABLE.search(before))
        return before if droppable else word
    return before if word.endswith("ll") and len(before) >= r2 else word
