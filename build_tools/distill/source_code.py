"""Source code as a person asks for it: names in words, what docstrings say, and the language's name.

People who look for code type words ("python check file is readonly"), never syntax. Nothing is parsed, since
passages may be cut anywhere and be in any language.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from build_tools.corpus.sentences import sentences
from build_tools.distill.words import content_words, identifier_words, identifiers

_MODIFIERS = (
    r"(?:(?:abstract|async|const|default|export|extern|final|inline|internal|local|override|private|protected|pub"
    r"|public|static|synchronized|unsafe|virtual)\s+)"
)
# Passages may hold anything: no pattern may take more than linear time, so repeats that overlap are bounded.
_DEFINITION = re.compile(
    rf"^[ \t]*(?:{_MODIFIERS}*(?:def|function|func|fn|sub|class|interface|struct|trait|impl|module)\s+"
    rf"(?:\([^)\n]*\)\s*)?(?:self\.)?(?P<name>[^\W\d]\w*)"
    rf"|{_MODIFIERS}+[\w<>\[\], ]{{0,80}}?\s?\b(?P<typed>[^\W\d]\w*)\s*\()",
    re.MULTILINE,
)
_CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*[)\]}]+[,;]?$|^\s*(?:@\w|#include\b|import [\w.{*]+|from [\w.]+ import\b|return\b)"
    r"|^\s*(?:async )?(?:def|class|function|func|fn)\b.*[:{(]\s*$"
    r"|^\s*(?:if|elif|else|for|while|with|try|except|switch)\b.*[:{(]\s*$"
    r"|^\s*(?:\w+ )?[\w.\[\]'\"$*&]+(?:, ?[\w.]+)* ?(?::=|[-+*/|&%]?=)(?!=)"
    r"|^\s*[\w.$]+\((?:[^)]*|.*\)[,;]?)$|=>|->|::|&&|\|\|"
)
_WORD = re.compile(r"\w+")
_PROSE_WORD_LIST = "the of to an that which was were are be been these those our we can may"
_PROSE_WORDS = frozenset(_PROSE_WORD_LIST.split())
_MARKS = re.compile(r"[(){}\[\]=;:<>_\"'.,@$]")
_DOCSTRING = re.compile(r'"""(.*?)(?:"""|\Z)' r"|'''(.*?)(?:'''|\Z)" r"|/\*+(.*?)(?:\*/|\Z)", re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=\s))(?:#+|//+|--)[ \t]+\w.*$", re.MULTILINE)
_COMMENTS = re.compile(r"(?:^[ \t]*(?:#+|//+|--)[ \t]+\w.*(?:\n|\Z))+", re.MULTILINE)
_COMMENT_MARK = re.compile(r"^[ \t]*(?:#+|//+|--)[ \t]+", re.MULTILINE)
_MARGIN = re.compile(r"^[ \t]*\*[ \t]?", re.MULTILINE)
_DETAILS = re.compile(
    r"^[ \t]*(?::\w+|[@\\]\w+|>>>|[-=~]{3,}|(?:args?|arguments|param(?:eter)?s?|returns?|yields?|raises|"
    r"throws|examples?|notes?|usage|attributes|keyword arguments|see also)\s*(?::|\n\s*-{3,}))"
    r"|\s[:@](?:param|returns?|type|rtype|raises|throws)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ROLE = re.compile(r":[\w:+.-]{1,40}:`[~.!]?([^`<\n]{1,200}?)\s{0,4}(?:<[^`\n]{0,400}>)?`")
_LANGUAGES = (
    ("python", re.compile(r"\bdef \w+ ?\([^()]*(?:\([^()]*\)[^()]*)*\)(?: ?->[^:\n]+| ?):")),
    ("php", re.compile(r"<\?php|\$this->|\bfunction\b[^\n{(]*\([^)$]*\$\w")),
    ("c++", re.compile(r"\bstd::|#include\s*<\w+>|\btemplate\s*<")),
    (
        "c",
        re.compile(
            r"#include\b|^[ \t]*(?:static )?(?:int|char|void|size_t) \*?\w+\([^)]*\)\s*\{", re.MULTILINE
        ),
    ),
    ("rust", re.compile(r"\bfn \w+.*(?:->|\{)|\blet mut\b")),
    ("go", re.compile(r"^[ \t]*func (?:\w+ ?\(|\()|\berr != nil\b", re.MULTILINE)),
    ("java", re.compile(r"\b(?:public|private|protected)\s+[\w<>\[\], ]{1,80}\s\w{1,80}\s?\(")),
    ("javascript", re.compile(r"\bfunction\b\s*\w*\s*\(|=>\s*[{(]|\b(?:const|let|var) \w+ =|===")),
    ("python", re.compile(r"^[ \t]*elif\b|\bself\.|^[ \t]*(?:from [\w.]+ )?import \w", re.MULTILINE)),
    ("ruby", re.compile(r"^[ \t]*def [\w.?!]+[^:\n]*$", re.MULTILINE)),
)
_KEYWORD_LIST = (
    "abstract and args as assert async await bool boolean break case catch char class cls const continue "
    "def del do double elif else end enum err except extends false final finally float for foreach from "
    "func function goto if implements import in int interface is kwargs lambda let long namespace new nil "
    "none not null or package pass private protected public raise return self short static str struct "
    "super switch then this throw throws true try typedef undefined unsigned var void while with yield"
)
_KEYWORDS = frozenset(_KEYWORD_LIST.split())
_QUESTIONS = ("{language} {what}", "{what} in {language}", "{what} {language}", "how to {what} in {language}")
_PLAIN_QUESTIONS = ("how to {what}", "{what}")
_LONGEST_QUESTION = 12
_WORDS_PER_SPAN = 40
_LONGEST_LINE = 400


@dataclass(frozen=True, slots=True)
class Code:
    """What a stretch of code says in words.

    Attributes:
        language: lower case, as people type it; empty when it cannot be told.
        name: the words of what it defines first.
        prose: sentences of its docstrings and comments.
        words: the words of its identifiers, in order, without the language's own.
    """

    language: str
    name: tuple[str, ...]
    prose: tuple[str, ...]
    words: tuple[str, ...]


def looks_like_code(text: str) -> bool:
    """Whether `text`, comments and docstrings aside, opens with a definition or is mostly program."""
    bare = _COMMENT.sub("", _DOCSTRING.sub("", text))
    lines = [line for line in bare.splitlines() if line.strip()]
    words = _WORD.findall(bare.lower())
    if not lines or sum(word in _PROSE_WORDS for word in words) * 12 > len(words):
        return False
    code = sum(map(is_code_line, lines))
    return code * (4 if is_code_line(lines[0]) and _DEFINITION.match(lines[0]) else 2) >= len(lines)


def is_code_line(line: str) -> bool:
    """Whether one line is a program's; prose with a formula or two is not."""
    if len(line) > _LONGEST_LINE or len(_MARKS.findall(line)) * 30 < len(line.strip()):
        return False
    return bool(_CODE_LINE.search(line) or _DEFINITION.match(line))


def words_of(code: str) -> list[str]:
    """The words of its identifiers, in order, without the language's own and single letters."""
    words = (word for name in identifiers(code) for word in identifier_words(name))
    return [word for word in words if len(word) > 1 and word not in _KEYWORDS and not word.isdigit()]


def parse(text: str) -> Code:
    """What `text`, a stretch of source code, says in words."""
    bare = _COMMENT.sub("", _DOCSTRING.sub(" ", text))
    found = _DEFINITION.search(bare)
    name = identifier_words(found["name"] or found["typed"]) if found else []
    language = next((language for language, sign in _LANGUAGES if sign.search(bare)), "")
    return Code(language, tuple(name), tuple(_prose(text)), tuple(words_of(bare)))


def candidates(text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Every text of a stretch of code that could be learned from, with its kind."""
    code = parse(text)
    if len(code.name) > 1:
        yield "title", " ".join(code.name)
    for position, sentence in enumerate(code.prose):
        yield ("sentence" if position else "first"), sentence
    yield from _questions(code, rng)
    for words in (_content(code), *_stretches(code.words)):
        if len(words) >= 3:
            yield "keywords", " ".join(_keywords(words, code.language, rng))
            yield "span", _span(words, rng)


def imperative(sentence: str) -> str:
    """``Returns the names.`` as a person asks: ``return the names``."""
    words = sentence.rstrip(" .!:;").split()
    if not words:
        return ""
    return " ".join([_stem(words[0].lower()), *words[1:]])


def _prose(text: str) -> Iterator[str]:
    blocks = ["".join(part or "" for part in match.groups()) for match in _DOCSTRING.finditer(text)]
    comments = _COMMENTS.findall(_DOCSTRING.sub("", text))
    for block in (*map(_without_details, blocks), *(_COMMENT_MARK.sub("", block) for block in comments)):
        for sentence in sentences(block):
            if len(sentence.split()) >= 3 and not is_code_line(sentence):
                yield sentence


def _without_details(docstring: str) -> str:
    """A docstring up to its lists of parameters and examples, without the marks of reStructuredText."""
    plain = _MARGIN.sub("", docstring)
    details = _DETAILS.search(plain)
    plain = plain[: details.start()] if details else plain
    return _ROLE.sub(r"\1", plain).replace("`", "")


def _questions(code: Code, rng: random.Random) -> Iterator[tuple[str, str]]:
    """How people ask for it: what it does, most often with the language."""
    forms = _QUESTIONS if code.language else _PLAIN_QUESTIONS
    whats = [" ".join(code.name), imperative(code.prose[0]) if code.prose else ""]
    for what in whats:
        if what and len(what.split()) <= _LONGEST_QUESTION:
            yield "definition", rng.choice(forms).format(what=what, language=code.language)


def _content(code: Code) -> list[str]:
    """The words that name and docstring put it in."""
    first = code.prose[0].split() if code.prose else []
    return content_words([*code.name, *(word.lower() for word in first)])


def _stretches(words: tuple[str, ...]) -> Iterator[list[str]]:
    for start in range(0, len(words), _WORDS_PER_SPAN):
        yield list(dict.fromkeys(words[start : start + _WORDS_PER_SPAN]))


def _keywords(words: list[str], language: str, rng: random.Random) -> list[str]:
    count = rng.randint(2, min(6, len(words)))
    chosen = [words[place] for place in sorted(rng.sample(range(len(words)), count))]
    return [language, *chosen] if language and rng.random() < 0.5 else chosen


def _span(words: list[str], rng: random.Random) -> str:
    length = rng.randint(3, min(12, len(words)))
    start = rng.randint(0, len(words) - length)
    return " ".join(words[start : start + length])


def _stem(verb: str) -> str:
    """The verb without the ending of the third person."""
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith(("ss", "us", "is")) else verb
