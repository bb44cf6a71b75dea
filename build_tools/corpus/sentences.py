"""Where sentences end: a small rule-based splitter for prose, lists and headings in most scripts.

Text is never changed, only divided: every character that is not white space lies in exactly one span.
"""

from __future__ import annotations

import re

_CLOSING = "\"'”’»)\\]」』）】"
_CANDIDATE = re.compile(
    rf"(?P<wide>[。！？｡][。！？｡{_CLOSING}]*)"
    rf"|(?P<stop>[.!?…؟۔।॥][.!?…؟۔।॥]*[{_CLOSING}]*)"
    r"|(?P<line>\n\s*)"
)
_BULLET = re.compile(r"(?:[-*+•‣◦▪–—·]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
_LIST_NUMBER = re.compile(r"\(?\d{1,3}|[A-Za-z]")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_LOOK_AROUND = 40

_ABBREVIATION_LIST = (
    "approx apr assn aug ave bros ca capt cf ch col corp cpl dec dept dr ed eds eg eq eqs esp est "
    "feb fig figs gen gov hon ibid ie inc jan jr jul jun lt ltd mar mr mrs ms mt nos nov oct op pp "
    "prof pt ref refs rep resp rev sec sen sep sept sgt sr st viz vol vols vs"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())

_WRAPPED_LINE = 60
"""A line at least this long that ends in mid-sentence was broken by a margin, not by its author."""


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, each on one line with single spaces."""
    return [" ".join(text[start:end].split()) for start, end in spans(text)]


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, in characters, without the white space around it.

    A sentence ends at a full stop, question or exclamation mark followed by white space (or at once, in
    scripts written without spaces), at a blank line, before a bullet or list number, after a heading
    in capitals, and at a line break that no margin explains. It does not end in abbreviations, initials,
    decimals and list numbers.
    """
    found: list[tuple[int, int]] = []
    start = line_start = 0
    for match in _CANDIDATE.finditer(text):
        if match.lastgroup == "line":
            ends = _ends_line(text, line_start, match)
            line_start = match.end()
        else:
            ends = match.lastgroup == "wide" or _ends_sentence(text, match, max(start, line_start))
        if ends:
            _append(found, text, start, match.end())
            start = match.end()
    _append(found, text, start, len(text))
    return found


def _append(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        found.append((start, start + len(stripped)))


def _ends_line(text: str, line_start: int, match: re.Match[str]) -> bool:
    line = text[line_start : match.start()].rstrip()
    if match[0].count("\n") > 1 or match.end() == len(text) or not line:
        return True
    if _BULLET.match(text, match.end()) or line.endswith(":") or line.isupper():
        return True
    wrapped = len(line) >= _WRAPPED_LINE
    return not (wrapped or text[match.end()].islower())


def _ends_sentence(text: str, match: re.Match[str], start: int) -> bool:
    following = text[match.end() : match.end() + _LOOK_AROUND]
    if following and not following[0].isspace():
        return False  # a decimal, a file name, a web address
    if following.lstrip()[:1].islower() and not _stands_alone(text, match):
        return False
    return match[0] != "." or not _is_abbreviation(text, match.start(), start)


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    """Whether the mark has space on both sides, as in text that was tokenized."""
    return match.start() > 0 and text[match.start() - 1].isspace()


def _is_abbreviation(text: str, stop: int, start: int) -> bool:
    """Whether the full stop at `stop` belongs to the word before it, or to a list number."""
    if stop == start:
        return True  # nothing to end
    before = text[max(start, stop - _LOOK_AROUND) : stop]
    if before[-1].isspace():
        return False
    word = before.split()[-1]
    opens = stop - start <= _LOOK_AROUND and word == before.strip()
    if opens and _LIST_NUMBER.fullmatch(word):
        return True
    word = word.lstrip("([\"'“‘")
    return word.lower() in _ABBREVIATIONS or _INITIALS.fullmatch(word) is not None
