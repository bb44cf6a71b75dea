"""Source code put into a person's words."""

from __future__ import annotations

import random
from itertools import chain

import pytest

from build_tools.distill.source_code import (
    candidates,
    imperative,
    is_code_line,
    looks_like_code,
    parse,
    words_of,
)

PYTHON = '''\
def is_readonly(file_path, strict=False):
    """Checks whether a file is :py:class:`read-only <x.Y>`.

    Links are followed to their target.

    :param file_path: the path
    """
    # The owner decides here,
    # and nobody else does.
    mode = os.stat(file_path).st_mode
    return not mode & stat.S_IWUSR
'''
JAVA = """\
/**
 * Returns the user's display name.
 * @param userId the id
 */
public static String getDisplayName(int userId) {
    return userCache.get(userId).displayName;
}
"""
JAVASCRIPT = (
    "function sortByToken(list) {\n  const keys = list.map(x => x.token);\n  return keys.sort();\n}\n"
)
GO = "func (s *Server) ListenAndServe(addr string) error {\n\tif err != nil {\n\t\treturn err\n\t}\n}\n"
PHP = "public function findUser($id) {\n    return $this->users[$id];\n}\n"
RUBY = "def read_all(path)\n  file = File.open(path)\n  file.read\nend\n"
RUST = "pub fn parse_header(input: &str) -> Option<Header> {\n    let mut rest = input;\n}\n"
C = "static int read_byte(FILE *file) {\n    int c = fgetc(file);\n    return c;\n}\n"

PROSE = [
    "The function of the kidneys is to keep a proper balance (of this mineral) in the body.",
    "Flour, water and salt: that is all. Knead the dough; let it rise.",
    "class of drugs used for heart failure",
    "Foxp3(+)CD4(+)CD25(+) regulatory T cells can differentiate from Foxp3(-)CD4(+) thymocytes.",
    "",
    "   \n ",
]


def kinds(text: str) -> dict[str, list[str]]:
    """Texts by kind."""
    found: dict[str, list[str]] = {}
    for kind, drawn in candidates(text, random.Random(0)):
        found.setdefault(kind, []).append(drawn)
    return found


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        (PYTHON, "python", "is readonly"),
        (JAVA, "java", "get display name"),
        (JAVASCRIPT, "javascript", "sort by token"),
        (GO, "go", "listen and serve"),
        (PHP, "php", "find user"),
        (RUBY, "ruby", "read all"),
        (RUST, "rust", "parse header"),
        (C, "c", "read byte"),
    ],
)
def test_languages(text: str, language: str, name: str) -> None:
    """Code is known as such, with its language and what it defines."""
    assert looks_like_code(text)
    code = parse(text)
    assert (code.language, " ".join(code.name)) == (language, name)


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_code(text: str) -> None:
    """Not even with brackets, semicolons and the words of a program."""
    assert not looks_like_code(text)


def test_prose_of_code() -> None:
    """Sentences of docstrings up to the parameters, and of comments; markup is taken away."""
    assert parse(PYTHON).prose == (
        "Checks whether a file is read-only.",
        "Links are followed to their target.",
        "The owner decides here, and nobody else does.",
    )
    assert parse(JAVA).prose == ("Returns the user's display name.",)


def test_words_of_code() -> None:
    """Identifiers are cut into words; keywords, single letters and numbers are left out."""
    assert words_of("return self.readLine(x, 10) if max_size2 else None") == ["read", "line", "max", "size2"]


def test_candidates() -> None:
    """Every kind that code can give, in words only."""
    found = kinds(PYTHON)
    assert found["title"] == ["is readonly"]
    assert found["first"] == ["Checks whether a file is read-only."]
    assert found["sentence"] == list(parse(PYTHON).prose[1:])
    assert len(found["definition"]) == 2
    assert all("python" in question for question in found["definition"])
    assert any("check whether a file is read-only" in question for question in found["definition"])
    assert not set("(){}=_") & set("".join(chain(*found.values())))
    for text in found["keywords"]:
        assert 2 <= len(text.split()) <= 7
    for text in found["span"]:
        assert 3 <= len(text.split()) <= 12


@pytest.mark.parametrize("text", ["def f(", '"""', '"""open', "x = 1", "}", "/*", "# ", "def _(): pass", "@"])
def test_fragments(text: str) -> None:
    """A passage may be cut anywhere."""
    assert all(drawn.strip() for drawn in chain(*kinds(text).values()))


def test_a_line() -> None:
    """One line of code, and one of prose that has a colon."""
    assert is_code_line("result = compute(values, key=None)")
    assert not is_code_line("The result: three values")
    assert not is_code_line("x = 1; " * 200)


@pytest.mark.parametrize(
    ("sentence", "request_"),
    [
        ("Returns the names.", "return the names"),
        ("Copies a file", "copy a file"),
        ("Pushes it", "push it"),
        ("Processes it", "process it"),
        ("Pass it on", "pass it on"),
        ("Focus the window", "focus the window"),
        ("Is it so", "is it so"),
        ("...", ""),
    ],
)
def test_imperative(sentence: str, request_: str) -> None:
    """What code does, as a person asks for it."""
    assert imperative(sentence) == request_
