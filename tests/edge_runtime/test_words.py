"""Text is split into the terms that a person would look for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Remove a directory", ["remove", "a", "directory"]),
        ("E-1402", ["e", "1402", "e1402"]),
        ("E1402", ["e", "1402", "e1402"]),
        ("os.path.join", ["os", "path", "join", "ospathjoin"]),
        ("snake_case", ["snake", "case", "snakecase"]),
        ("HTTPServer", ["http", "server", "httpserver"]),
        ("DVDs IPv4", ["dv", "ds", "dvds", "i", "pv4", "ipv4"]),
        ("threadPool", ["thread", "pool", "threadpool"]),
        ("__init__", ["init"]),
        ("libssl3 0x7f", ["libssl3", "0x7f"]),
        ("end. Next - one", ["end", "next", "one"]),
        ("a..b", ["a", "b"]),
        ("don't", ["don", "t"]),
        ("\uff26\uff55\uff4c\uff4c \ufb01le", ["full", "file"]),
        ("soft\u00adhyphen", ["softhyphen"]),
        ("non\u2011breaking", ["non", "breaking", "nonbreaking"]),
        ("Stra\u00dfe \u00c9COLE", ["strasse", "\u00e9cole"]),
        ("e\u0301cole", ["\u00e9cole"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\ua9b2\ua9b6\ua9a4 \U00011107\U0001112c", ["\ua9b2\ua9b6\ua9a4", "\U00011107\U0001112c"]),
        ("\u1780\u17b8", ["\u1780", "\u1780\u17b8", "\u17b8"]),
        ("1\ufe0f\u20e3", ["1"]),
        ("\u6771\u4eac\u90fd", ["\u6771", "\u6771\u4eac", "\u4eac", "\u4eac\u90fd", "\u90fd"]),
        ("\u6c34", ["\u6c34"]),
        ("Python\u5165\u9580", ["python", "\u5165", "\u5165\u9580", "\u9580"]),
        ("USB-\u6c34_2", ["usb", "\u6c34", "2"]),
        ("\u0e19\u0e49", ["\u0e19", "\u0e19\u0e49", "\u0e49"]),
        ("", []),
        (" \t\n\x00\x1b[]!?_ \U0001f600", []),
        ("\ud800", []),
        ("a\udcffb", ["a", "b"]),
    ],
)
def test_splitting(text, expected):
    """Words, names, numbers, scripts and rubbish, without stemming."""
    assert words.terms(text, "none") == expected


def test_english_drops_function_words_and_stems():
    """The English stemmer leaves only what says something, in its stemmed form."""
    assert words.terms("What is the removing of directories", "english") == ["remov", "directori"]


def test_names_keep_function_words_in_the_whole():
    """A function word inside a name goes as a part, not from the name."""
    assert words.terms("is_file", "english") == ["file", "isfil"]


def test_function_words_alone_give_nothing():
    """A query of function words has no terms; the dense side answers it."""
    assert words.terms("to be or not to be", "english") == []


def test_long_terms_are_cut():
    """A blob without a space becomes one term of bounded length."""
    assert words.terms("x" * 1000, "none") == ["x" * words.MAX_TERM_CHARS]


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(codec=None)), st.sampled_from(["english", "none"]))
def test_any_text_gives_encodable_terms(text, stemmer):
    """Whatever comes in, terms are short, not empty and fit for UTF-8."""
    for term in words.terms(text, stemmer):
        assert 0 < len(term) <= words.MAX_TERM_CHARS
        term.encode()


@settings(deadline=None, max_examples=100)
@given(st.text(st.sampled_from("abAB1_-. ")))
def test_spaces_part_what_is_said(text):
    """Two texts with a space between give the terms of the one and then of the other."""
    both = words.terms(f"{text} {text}", "none")
    assert both == words.terms(text, "none") * 2
