"""The stemmer cuts every word exactly as PyStemmer, the reference implementation, does."""

from __future__ import annotations

import pkgutil
import re
import sys
import sysconfig
from pathlib import Path

import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.stemmer import stem

REFERENCE = Stemmer.Stemmer("english")

_LISTED = (
    "' 's 's' s ss us sses ied ies eed eedly ed edly ing ingly y at bl iz",
    "bb dd ff gg mm nn pp rr tt ll tional enci anci abli entli izer ization ational ation ator alism aliti",
    "alli fulness ousli ousness iveness iviti biliti bli ogist ogi fulli lessli li alize icate iciti ical",
    "ful ness ative al ance ence er ic able ible ant ement ment ent ism ate iti ous ive ize ion e l",
)
SUFFIXES = [suffix for line in _LISTED for suffix in line.split()]
_EXCEPTIONAL = "gener commun arsen past univers later emerg organ inter proc exc succ inn out cann herr earr"
PIECES = [*SUFFIXES, *_EXCEPTIONAL.split(), *"aeiouybcdlstwx'"]


def standard_library_words() -> list[str]:
    """The lower-case words in the sources of the top-level modules of the standard library."""
    folder = Path(sysconfig.get_path("stdlib"))
    names = (module.name for module in pkgutil.iter_modules([str(folder)]))
    found: set[str] = set()
    for name in names:
        path = folder / f"{name}.py"
        if name in sys.stdlib_module_names and path.is_file():
            found.update(re.findall(r"[a-z']+", path.read_text("utf-8", "replace").lower()))
    return sorted(found)


def test_standard_library_vocabulary():
    """Every word of the standard library's sources has the reference's stem."""
    words = standard_library_words()
    assert len(words) > 10_000
    assert {word: stem(word) for word in words} == dict(zip(words, REFERENCE.stemWords(words), strict=True))


@settings(deadline=None, max_examples=1500)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5),
    st.sampled_from(SUFFIXES),
)
def test_words_made_of_suffixes(pieces, suffix):
    """Words no dictionary has, piled up from the rules' own suffixes, agree too."""
    word = "".join(pieces) + suffix
    assert stem(word) == REFERENCE.stemWord(word)


@settings(deadline=None, max_examples=500)
@given(st.text("aeiouysdglnbwxié'ßя1_", max_size=12))
def test_any_lower_case_letters(word):
    """Short, vowelless, accented and foreign strings agree as well."""
    assert stem(word) == REFERENCE.stemWord(word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("connections", "connect"),
        ("skies", "sky"),
        ("news", "news"),
        ("dying", "die"),
        ("herrings", "herring"),
        ("proceed", "proceed"),
        ("generic", "generic"),
        ("hopping", "hop"),
        ("adding", "add"),
        ("hoping", "hope"),
        ("patient's", "patient"),
        ("geologist", "geolog"),
        ("sayings", "say"),
        ("as", "as"),
        ("", ""),
    ],
)
def test_known_stems(word, expected):
    """The definition's own examples and exceptions."""
    assert stem(word) == expected


def test_memory_is_bounded():
    """Stems are remembered, but not without limit."""
    assert stem.cache_info().maxsize is not None
