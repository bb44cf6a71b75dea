"""What a person does to a query."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.distill.noise import (
    add_prefix,
    drop_punctuation,
    drop_word,
    mistype,
    neighbours,
    noisy,
    recase,
)

TEXT = "Replace the chain of a bicycle, then oil it."


@settings(deadline=None, max_examples=200)
@given(st.text(min_size=1, max_size=60).filter(str.strip), st.integers())
def test_the_same_rng_gives_the_same(text: str, seed: int) -> None:
    """Deterministic, and never blank."""
    changed = noisy(text, random.Random(seed))
    assert changed == noisy(text, random.Random(seed))
    assert changed.strip()


def test_every_habit_occurs() -> None:
    """Over many seeds: case, punctuation, typos, missing words and prefixes, one or two at once."""
    results = [noisy(TEXT, random.Random(seed)) for seed in range(300)]
    assert TEXT not in results
    assert len(set(results)) > 100
    words = TEXT.split()
    assert any(result == TEXT.lower() for result in results)
    assert any(result == TEXT.upper() for result in results)
    assert any(result == TEXT.replace(",", "").replace(".", "") for result in results)
    assert any(len(result.split()) == len(words) - 1 for result in results)
    assert any(result.lower().startswith("how to") for result in results)


def test_what_cannot_be_changed_stays() -> None:
    """No habit applies to a lone mark."""
    assert noisy("…", random.Random(0)) == "…"


def test_recase() -> None:
    """Mostly lower case."""
    found = Counter(recase("Ab", random.Random(seed)) for seed in range(100))
    assert set(found) == {"ab", "AB"}
    assert found["ab"] > found["AB"] > 0


def test_drop_punctuation() -> None:
    """Marks inside words and numbers stay."""
    assert drop_punctuation("Don't: use 3.5 (or so)!", random.Random(0)) == "Don't use 3.5 or so"


def test_marks_are_no_punctuation() -> None:
    """The vowels of Hindi stay, and the tones of Thai."""
    hindi, thai = "\u092c\u094d\u0930\u0947\u0915 \u0915\u0940 \u0939\u0935\u093e", "\u0e19\u0e49\u0e33"
    assert drop_punctuation(f"{hindi}?", random.Random(0)) == hindi
    assert drop_punctuation(f"\u201c{thai}\u201d", random.Random(0)) == thai


def test_drop_word() -> None:
    """One less; two words are too few to lose one."""
    assert drop_word("one two three", random.Random(0)) in {"one two", "one three", "two three"}
    assert drop_word("one two", random.Random(0)) == "one two"


@pytest.mark.parametrize("text", ["How do trees grow", "find a tree", "what is it?", "word " * 13, "."])
def test_no_prefix(text: str) -> None:
    """Questions, requests and whole sentences get none."""
    assert add_prefix(text, random.Random(0)) == text


def test_prefix() -> None:
    """The first word loses its capital, an abbreviation does not; the full stop goes."""
    found = {add_prefix("Replace a chain.", random.Random(seed)) for seed in range(200)}
    assert {"how do I replace a chain", "how to replace a chain?", "find replace a chain"} <= found
    assert all(add_prefix("USB port", random.Random(seed)).find("USB port") > 0 for seed in range(20))


def test_typos() -> None:
    """One word of four letters or more changes by one slip; its length by one at most."""
    for seed in range(200):
        changed = mistype("the chain 1234", random.Random(seed)).split()
        assert [changed[0], changed[2]] == ["the", "1234"]
        assert 4 <= len(changed[1]) <= 6
    assert {mistype("chain", random.Random(seed)) for seed in range(400)} >= {
        "chian",  # swapped
        "chaain",  # doubled
        "chin",  # missed
        "chaim",  # the next key
    }
    assert mistype("a big cat", random.Random(0)) == "a big cat"
    assert mistype("Käse", random.Random(1)) != ""


def test_neighbours() -> None:
    """Keys that touch; other letters have none."""
    assert set(neighbours("s")) == set("awedzx")
    assert set(neighbours("q")) == set("wa")
    assert neighbours("ä") == neighbours("Q") == ""
