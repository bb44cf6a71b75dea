"""What people do to a query as they type: case, punctuation, typos, words left out, a question before it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from edge_runtime.marks import MARKS

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
"""The letters of a QWERTY keyboard, with how far each row starts to the right, in keys."""

_PREFIXES = (
    "how do I",
    "how to",
    "how can I",
    "what is",
    "what are",
    "where is",
    "why",
    "can I",
    "is there",
    "find",
    "show me",
    "explain",
    "tell me about",
)
_QUESTION = re.compile(
    r"(?:how|what|where|when|why|who|whose|which|can|could|do|does|did|is|are|was|were|should|find|show|explain|"
    r"tell)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w")
_PUNCTUATION = re.compile(rf"(?<![\w{MARKS}])[^\w\s{MARKS}]+|[^\w\s{MARKS}]+(?!\w)")
_LONGEST_QUESTION = 12
"""Words; nobody puts "how do I" before a whole sentence."""

Noise = Callable[[str, random.Random], str]
"""A way to change a text; it gives the text back where it does not apply."""


def noisy(text: str, rng: random.Random) -> str:
    """`text` with one or two of a person's habits; unchanged only where none applies.

    The same text and state of `rng` give the same result.
    """
    habits = [habit for habit, weight in _HABITS for _ in range(weight)]
    rng.shuffle(habits)
    wanted = rng.choice((1, 1, 2))
    changed = text
    applied: set[Noise] = set()
    for habit in habits:
        if len(applied) == wanted:
            break
        after = changed if habit in applied else habit(changed, rng)
        if after.strip() and after not in (changed, text):
            changed = after
            applied.add(habit)
    return changed


def recase(text: str, rng: random.Random) -> str:
    """All in lower case, most often, or all in capitals."""
    return text.upper() if rng.random() < 0.2 else text.lower()


def drop_punctuation(text: str, rng: random.Random) -> str:
    """Without the marks around words; those inside, as in ``don't`` and ``3.5``, stay."""
    del rng  # there is nothing to choose
    return " ".join(_PUNCTUATION.sub(" ", text).split())


def drop_word(text: str, rng: random.Random) -> str:
    """One word less, of three or more."""
    words = text.split()
    if len(words) < 3:
        return text
    del words[rng.randrange(len(words))]
    return " ".join(words)


def add_prefix(text: str, rng: random.Random) -> str:
    """A question or request before a short text that is none."""
    if _QUESTION.match(text) or len(text.split()) > _LONGEST_QUESTION or not _WORD.search(text):
        return text
    bare = text.rstrip(" .:;")
    first, rest = bare[:1], bare[1:]
    # "Use" becomes "use", but "USB" and a lone "I" are written as they are.
    lowered = first.lower() + rest if rest[:1].islower() else bare
    return f"{rng.choice(_PREFIXES)} {lowered}{rng.choice(('', '', '?'))}"


def mistype(text: str, rng: random.Random) -> str:
    """One typo in a word of four letters or more: a key beside it, or letters swapped, doubled or missed."""
    words = list(re.finditer(r"[^\W\d_]{4,}", text))
    if not words:
        return text
    word = rng.choice(words)
    typo = rng.choice((_neighbour, _swap, _double, _miss))
    return text[: word.start()] + typo(word[0], rng) + text[word.end() :]


def neighbours(letter: str) -> str:
    """The keys next to a letter's on a QWERTY keyboard; none for other letters."""
    places = {key: (shift + i, row) for row, (keys, shift) in enumerate(_ROWS) for i, key in enumerate(keys)}
    if letter not in places:
        return ""
    x, y = places[letter]
    near = (key for key, (u, v) in places.items() if abs(u - x) <= 1 and abs(v - y) <= 1)
    return "".join(key for key in near if key != letter)


def _neighbour(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word))
    old = word[place]
    near = _NEIGHBOURS.get(old.lower(), old)
    new = rng.choice(near)
    return word[:place] + (new.upper() if old.isupper() else new) + word[place + 1 :]


def _swap(word: str, rng: random.Random) -> str:
    # People get the first letter right.
    place = rng.randrange(1, len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _double(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word))
    return word[: place + 1] + word[place:]


def _miss(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word))
    return word[:place] + word[place + 1 :]


_NEIGHBOURS = {letter: neighbours(letter) for keys, _ in _ROWS for letter in keys}
_HABITS: tuple[tuple[Noise, int], ...] = (
    (recase, 3),
    (drop_punctuation, 2),
    (mistype, 3),
    (drop_word, 2),
    (add_prefix, 2),
)
"""With how often each is tried first, in relation to the others."""
