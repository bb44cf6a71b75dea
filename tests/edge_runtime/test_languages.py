"""Words of other languages than English are found as people of that language type them."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import get_args

import pytest
import Stemmer as PyStemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import languages, words
from edge_runtime.errors import CompatibilityError
from edge_runtime.function_words import FUNCTION_WORDS

SNOWBALL = [name for name in get_args(languages.Stemmer) if languages.needs_library(name)]


@pytest.fixture(autouse=True)
def _anew():
    """A cutter keeps the library that it found."""
    languages.cutter.cache_clear()
    yield
    languages.cutter.cache_clear()


@pytest.mark.parametrize(
    ("stemmer", "indexed", "asked"),
    [
        ("german", "Die Bücher der Häuser", "buch haus"),
        ("german", "Straßen", "strasse"),
        ("french", "les écoles d'été", "l'école l'été"),
        ("french", "les écoles", "ecole"),
        ("french", "l'hôpital", "hopitaux"),
        ("spanish", "la canción", "canciones"),
        ("italian", "le città", "citta"),
        ("portuguese", "as informações", "informação"),
        ("dutch", "de auto's", "auto"),
        ("russian", "книгами", "книги"),
        ("swedish", "bilarna", "bilen"),
        ("folded", "naïve Café", "naive cafe"),
        ("folded", "ёлка", "елка"),
        ("folded", "Øresund Łódź", "oresund lodz"),
        ("folded", "nguyễn", "nguyen"),
        ("folded", "مُحَمَّد", "محمد"),
        ("folded", "مدرسة", "مدرسه"),
        ("folded", "شَالوم כָּל", "شالوم כל"),
        ("folded", "हिन्दी", "हिन्दी"),
        ("folded", "\u30c7\u30fc\u30bf", "\u30c6\u3099\u30fc\u30bf"),
        ("folded", "한국어", "한국어"),
    ],
)
def test_found_as_typed(stemmer, indexed, asked):
    """Each word of the question is one of the text."""
    found = words.terms(asked, stemmer)
    assert found
    assert set(found) <= set(words.terms(indexed, stemmer))


def test_what_must_stay_apart():
    """Vowel signs of Indic scripts and voicing marks of kana make other words."""
    for one, other in (("की", "का"), ("\u304b", "\u304c")):
        assert words.terms(one, "folded") != words.terms(other, "folded")


@pytest.mark.parametrize("language", [name for name in FUNCTION_WORDS if name != "english"])
def test_function_words_are_left_out(language):
    """All of a list, as a text has them."""
    listed = sorted(FUNCTION_WORDS[language])
    assert words.terms(" ".join(listed).upper(), language) == []
    assert all(word == word.casefold() for word in listed)


@pytest.mark.parametrize("language", SNOWBALL)
def test_every_language_is_there(language):
    """The compiled library knows all that a recipe can name."""
    assert language in PyStemmer.algorithms()
    assert words.terms("E-1402 libssl3", language)[-1].startswith("libssl3"[:5])


@settings(deadline=None, max_examples=100)
@given(
    st.text(st.characters(codec=None)), st.sampled_from(["folded", "german", "arabic", "greek", "turkish"])
)
def test_any_text_gives_encodable_terms(text, stemmer):
    """Short, not empty, fit for UTF-8, in every language."""
    for term in words.terms(text, stemmer):
        assert 0 < len(term) <= words.MAX_TERM_CHARS
        term.encode()


def test_plain_python_cuts_alike(monkeypatch):
    """Where PyStemmer is missing, snowballstemmer does the same."""
    pytest.importorskip("snowballstemmer")
    text = "Die Aufhäuser verkauften Fahrräder, Versicherungsnehmerinnen und Zuständigkeiten"
    expected = words.terms(text, "german")
    languages.cutter.cache_clear()
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    assert words.terms(text, "german") == expected


def test_no_library(monkeypatch):
    """The message says what to install; English does without."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(CompatibilityError, match=r"pip install 'edge-runtime\[languages\]'"):
        words.terms("Häuser", "german")
    assert words.terms("houses", "english") == ["hous"]
    assert "pip install" in (languages.obstacle("german", "3.1") or "")
    assert languages.obstacle("english", None) is None


def test_the_version_counts_to_the_minor(monkeypatch):
    """3.1.0 and 3.1.1 cut alike."""
    monkeypatch.setattr(metadata, "version", lambda name: {"PyStemmer": "3.1.7.2"}[name])
    assert languages.snowball_version() == "3.1"
