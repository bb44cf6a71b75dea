"""Prose as a person asks for it: titles, headings, definitions, keywords, spans and whole sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from build_tools.corpus.markdown import ATX, without_closing
from build_tools.corpus.sentences import sentences
from build_tools.distill.source_code import is_code_line, words_of
from build_tools.distill.words import (
    STOP_WORDS,
    content_words,
    has_letter,
    identifier_words,
    is_identifier,
    units,
)

_LEAST_WORDS = 3
_SHORT_TITLE = 6
_LONGEST_SPAN = 12
_KEYWORD_WINDOW = 16
"""Words that keywords are taken from: those of one query belong together."""

_MARKDOWN = re.compile(ATX)
_NO_HEADING = re.compile(r"[()\[\]{}=<>;|]|[.?!]\s")
_BULLET = re.compile(r"^(?:#{1,6}|>+|[*+•–-]|\(?\d{1,3}[.)])\s+")
_BRACKETED = re.compile(r"\s*\([^()]*\)")
_DASH = re.compile(r"\s+[-–—]+\s+|:\s+")
_DEFINITION = re.compile(
    r"^(?:(?:an?|the)\s+)?(?P<what>\S+(?: \S+){0,5}?) "
    r"(?:(?P<verb>is|are|was|were) (?=(?:an?|the|any|one of|another|used (?:to|for)) )"
    r"|means |refers to |stands for )(?:used (?:to|for) )?(?P<rest>\S+(?: \S+){2,})$",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"^(?P<what>[^\W\d_][^\s:.?!]*(?: [^\s:.?!]+){0,3}): (?P<rest>\S+(?: \S+){2,})$")


def from_title(title: str) -> Iterator[tuple[str, str]]:
    """What a title gives: itself, a question about it, and the two halves of ``name - description``."""
    yield "title", title
    plain = _BRACKETED.sub("", title).strip()
    name, _, description = _halves(plain)
    if is_identifier(name):
        yield "title", " ".join(identifier_words(name.partition("(")[0]))
    if len(description.split()) >= 2:
        yield "definition", description
    if plain.endswith("?"):
        yield "definition", plain.rstrip(" ?") + "?"
    elif len(name.split()) <= _SHORT_TITLE and has_letter(name):
        yield "definition", f"what is {name}"


def headings(title: str, text: str) -> Iterator[tuple[str, str]]:
    """Headings in Markdown, lines in capitals, lines that end in a colon; with a short title before too."""
    name = _halves(_BRACKETED.sub("", title).strip())[0]
    for line in text.splitlines():
        heading = _heading(line.strip())
        if heading:
            yield "heading", heading
            if name and len(name.split()) < _SHORT_TITLE:
                yield "heading", f"{name} {heading.lower() if heading.isupper() else heading}"


def from_sentences(text: str, rng: random.Random, *, opens: bool) -> Iterator[tuple[str, str]]:
    """What the sentences give; ``opens`` says that the first of them is the document's first.

    A document that is but a word or two, such as a part of a list, gives those.
    """
    found = list(sentences(text))
    for sentence in found:
        plain = _BULLET.sub("", sentence)
        words, joint = units(plain)
        if (said := sum(map(has_letter, words))) < _LEAST_WORDS:
            if said and opens and len(found) == 1:
                yield "first", plain
            continue
        if is_code_line(plain):
            names = words_of(plain)
            if len(names) >= _LEAST_WORDS:
                yield "span", " ".join(_span(names, rng))
            continue
        yield ("first" if opens else "sentence"), plain
        opens = False
        yield "span", joint.join(_span(words, rng))
        if keywords := _keywords(words, rng):
            yield "keywords", " ".join(keywords)
        yield from _definition(plain)


def _halves(title: str) -> tuple[str, str, str]:
    found = _DASH.search(title)
    return (title[: found.start()], found[0], title[found.end() :]) if found else (title, "", "")


def _heading(line: str) -> str:
    """The heading that a line is, or nothing."""
    markdown = _MARKDOWN.match(line)
    if markdown:
        return without_closing(markdown[1])
    if not line.isupper() and not line.endswith(":"):
        return ""
    bare = line.rstrip(" :")
    short = 0 < len(bare.split()) <= 8 and sum(map(str.isalpha, bare)) >= 4
    return (
        bare
        if short and bare[:1].isalnum() and not bare[0].islower() and not _NO_HEADING.search(bare)
        else ""
    )


def _span(words: list[str], rng: random.Random) -> list[str]:
    length = rng.randint(_LEAST_WORDS, min(_LONGEST_SPAN, len(words)))
    start = rng.randint(0, len(words) - length)
    return words[start : start + length]


def _keywords(words: list[str], rng: random.Random) -> list[str]:
    """Two to six of the words that carry meaning, in order; none where there are fewer."""
    start = rng.randint(0, max(0, len(words) - _KEYWORD_WINDOW))
    content = content_words(words[start : start + _KEYWORD_WINDOW])
    if len(content) < 2:
        return []
    count = rng.randint(2, min(6, len(content)))
    return [content[place] for place in sorted(rng.sample(range(len(content)), count))]


def _definition(sentence: str) -> Iterator[tuple[str, str]]:
    """``A stack is a list that …`` as ``what is stack`` and ``a list that …``; the same for ``Stack: …``."""
    found = _DEFINITION.match(sentence) or _LABELLED.match(sentence)
    if not found:
        return
    words = found["what"].casefold().split()
    if words[0] in STOP_WORDS or words[-1] in STOP_WORDS:
        return
    yield "definition", f"what {'are' if found.groupdict().get('verb') == 'are' else 'is'} {found['what']}"
    rest = found["rest"].split()[:_LONGEST_SPAN]
    if sum(map(has_letter, rest)) >= _LEAST_WORDS:
        yield "definition", " ".join(rest).rstrip(" .,;:")
