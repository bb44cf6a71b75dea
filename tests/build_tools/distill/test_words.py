"""Words, identifiers, and texts that say the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.distill.words import content_words, fold, identifier_words, identifiers, is_identifier, units


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("What is  yeast?", "what is yeast"),
        ("WHAT IS YEAST", "what is yeast"),
        ("Straße", "strasse"),
        ("E-1042", "e 1042"),
        ("\u0924\u0947\u0932 \u0915\u0940", "\u0924\u0947\u0932 \u0915\u0940"),
        ("?! …", "?! …"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    """Case, punctuation and spacing do not tell texts apart; a text of marks alone is kept."""
    assert fold(text) == folded


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_texts_of_equal_case_fold_alike(text: str) -> None:
    """Whatever the script; and folding twice changes nothing."""
    assert fold(text.casefold()) == fold(text)
    assert fold(f" {text}\n") == fold(text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("writeBoolean", "write boolean"),
        ("check_file_is_readonly", "check file is readonly"),
        ("HTTPServerError2", "http server error2"),
        ("os.path.getsize", "os path getsize"),
        ("__init__", "init"),
        ("größeÄndern", "größeändern"),
        ("parseJSON", "parse json"),
        ("_", ""),
    ],
)
def test_identifier_words(name: str, words: str) -> None:
    """Cut at humps, underscores and dots; abbreviations in capitals stay whole."""
    assert " ".join(identifier_words(name)) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.path", True),
        ("readLine(file, n)", True),
        ("snake_case", True),
        ("bread", False),
        ("Super Bowl 50", False),
        ("e.g. this", False),
        ("", False),
    ],
)
def test_is_identifier(text: str, expected: bool) -> None:
    """One name of several words, arguments aside; never a phrase."""
    assert is_identifier(text) is expected


def test_identifiers() -> None:
    """Names in order, again where they come again; no numbers."""
    assert identifiers("x = foo(x, 2) + bar_3") == ["x", "foo", "x", "bar_3"]


def test_content_words() -> None:
    """No stop words, single letters, numbers or marks around words; each word once."""
    text = "How do I use the (yeast), a 20 g cube of yeast & don't?"
    assert content_words(text.split()) == ["yeast", "cube", "don't"]


def test_units() -> None:
    """Words, or characters where a script has no spaces."""
    assert units("Knead the dough.") == (["Knead", "the", "dough."], " ")
    assert units("パンを焼く方法") == (list("パンを焼く方法"), "")
    assert units("Käse und Brot") == (["Käse", "und", "Brot"], " ")
