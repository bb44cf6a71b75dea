"""What is shown of a passage, and which of its words are marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import edge_runtime
from edge_runtime import QueryError, Retriever, highlight, snippets, words
from edge_runtime.snippets import Snippet, snippet

STEMMERS = st.sampled_from(["english", "none"])
FRAGMENTS = st.sampled_from(
    ["the pumps", "E-1402", "os.path", "HttpServer", "e1402", "ﬁlter", "co\u00adoperate", "cafe\u0301",
     "酵母和面团", "ﾊﾟﾝ", "각", "\u1100\u1161", "½", "™", "👩‍🍳", "\u00a0", "…", ". ", "! ", "\n\n", " ",
     "İ", "ß", "\ud800", "نص"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=25).map("".join))


def marked(text: str, query: str, **options: Any) -> list[str]:
    """The stretches that are marked."""
    found = snippet(text, query, **{"max_chars": 200, "stemmer": "english"} | options)
    return [found.text[start:end] for start, end in found.spans]


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("Connections were lost; connect again.", "connecting", ["Connections", "connect"]),
        ("The valve and the pump.", "the pump", ["pump"]),
        ("Error E-1402 means low oil.", "E-1402", ["E-1402"]),
        ("Error E-1402 means low oil.", "e1402", ["E-1402"]),
        ("Error e1402, not E-10 nor 1402-B.", "E-1402", ["e1402", "1402"]),
        ("call os.path.join, or os alone", "os.path.join", ["os.path.join", "os"]),
        ("a HttpServer and a server", "http server", ["HttpServer", "server"]),
        ("the ﬁlters of the ＰＵＭＰ", "filter pump", ["ﬁlters", "ＰＵＭＰ"]),
        ("to co\u00adoperate well", "cooperate", ["co\u00adoperate"]),
        ("un cafe\u0301 noir", "café", ["cafe\u0301"]),
        ("un café noir", "cafe\u0301", ["café"]),
        ("用酵母和面团做面", "面团", ["面团"]),
        ("用酵母和面团做面", "酵母和", ["酵母和"]),
        ("面子", "面", ["面"]),
        ("ﾊﾟﾝを焼く", "パン", ["ﾊﾟﾝ"]),
        ("👩‍🍳 bakes bread 🥖", "bread", ["bread"]),
        ("nothing of it", "!?!", []),
    ],
)
def test_marks_words_as_the_index_has_them(text: str, query: str, expected: list[str]) -> None:
    """Stemmed, in parts or whole, whatever their Unicode form; stretches are of the text as given."""
    assert marked(text, query) == expected


def test_without_a_stemmer() -> None:
    """Words as they are, function words too."""
    assert marked("The pumps and the pump", "the pump", stemmer="none") == ["The", "the", "pump"]


TEXT = (
    "The first sentence is about nothing. Grease the chain, e.g. with oil, once a month. Then the pump "
    "loses pressure and the brake must be bled. Ask a friend. The last one says nothing either."
)


@pytest.mark.parametrize(
    ("query", "max_chars", "expected"),
    [
        ("bleed brakes pump", 100, "Then the pump loses pressure and the brake must be bled. Ask a friend."),
        ("oil", 50, "Grease the chain, e.g. with oil, once a month."),
        ("bicycle", 50, "The first sentence is about nothing."),
        ("friend", 15, "Ask a friend."),
        ("pressure", 30, "Then the pump loses pressure"),
        ("bled", 30, "be bled. Ask a friend."),
        ("pressure", 3, "The"),
        ("oil", 1000, TEXT),
    ],
)
def test_begins_with_the_sentence_that_says_most(query: str, max_chars: int, expected: str) -> None:
    """And ends with one, if that leaves no half of it empty; a long one is entered near the words."""
    assert snippet(TEXT, query, max_chars=max_chars, stemmer="english").text == expected


@given(TEXTS, TEXTS, st.integers(1, 80), STEMMERS)
@example(" " * 100 + "x", "x", 1, "none")
@example("👩‍🍳" * 30, "x", 5, "none")
def test_properties(text: str, query: str, max_chars: int, stemmer: words.Stemmer) -> None:
    """A stretch of the text, no longer than asked for; spans are in it, in order, and never overlap."""
    found = snippet(text, query, max_chars=max_chars, stemmer=stemmer)
    assert text[found.start :].startswith(found.text)
    assert len(found.text) <= max_chars
    assert found.text == found.text.strip()
    assert bool(found.text) == bool(text.strip())
    behind = 0
    for start, end in found.spans:
        assert behind <= start < end <= len(found.text)
        behind = end


@given(TEXTS, STEMMERS)
def test_finds_the_words_that_the_index_has(text: str, stemmer: words.Stemmer) -> None:
    """A text asked for itself is marked wherever it has a term, and each mark holds the terms it says."""
    terms = frozenset(words.terms(text, stemmer))
    found = highlight.matches(text, terms, stemmer)
    assert frozenset().union(*(match.terms for match in found)) == terms
    for match in found:
        assert match.terms <= frozenset(words.terms(text[match.start : match.end], stemmer)) | terms
    assert highlight.wanted(text, stemmer) <= terms


@given(TEXTS)
def test_normalizing_piece_by_piece_is_normalizing(text: str) -> None:
    """The places belong to the text that the index sees."""
    normal, places = highlight._normalized(text)
    assert normal == words.normalized(text)
    if places is not None:
        assert len(places) == len(normal)
        assert all(0 <= start < end <= len(text) for start, end in places)


def test_never_cuts_a_letter_in_two() -> None:
    """Accents stay with their letters and an emoji is one, where nothing better than a cut is left."""
    text = "x\u0301" * 50  # no single letter has this accent
    assert not unicodedata.combining(text[len(snippet(text, "x", max_chars=21, stemmer="none").text)])
    assert snippet("👩‍🍳" * 10, "x", max_chars=8, stemmer="none").text == "👩‍🍳👩‍🍳"


def test_long_texts_take_linear_time() -> None:
    """No pattern goes back and forth over runs of what ends sentences, or of nothing."""
    for run in (".", ". ", "\n", " ", '"', '."', "。", "e-", "\n "):
        assert snippet(run * 100_000 + "x", "x", max_chars=50, stemmer="english").text


@pytest.fixture(scope="module")
def retriever(bundle: Path) -> Iterator[Retriever]:
    with edge_runtime.open(bundle) as opened:
        yield opened


def test_of_a_hit_and_of_a_text(retriever: Retriever) -> None:
    """The same; and from many threads."""
    hits = retriever.search("yeast and dough", k=20)
    expected = [retriever.snippet(hit, "yeast and dough", max_chars=40) for hit in hits]
    assert expected == [retriever.snippet(hit.text, " yeast and dough ", max_chars=40) for hit in hits]
    assert all(isinstance(one, Snippet) for one in expected)
    assert expected[0].spans
    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(lambda hit: retriever.snippet(hit, "yeast and dough", max_chars=40), hits)
        assert list(asked) == expected
    assert retriever.snippet("", "dough") == Snippet("", (), 0)


@pytest.mark.parametrize(
    ("source", "query", "max_chars", "problem"),
    [
        (None, "dough", 200, "source: expected text; found NoneType"),
        (b"dough", "dough", 200, "source: expected text; found bytes"),
        ("dough", "", 200, "query: expected some text; found none"),
        ("dough", 3, 200, "query: expected text; found int"),
        ("dough", "dough", 0, "max_chars: expected a whole number from 1; found 0"),
        ("dough", "dough", 1.5, "max_chars: expected a whole number from 1; found 1.5"),
    ],
)
def test_bad_arguments(retriever: Retriever, source: Any, query: Any, max_chars: Any, problem: str) -> None:
    """One error, which names the argument."""
    with pytest.raises(QueryError, match=f"^{problem}$"):
        retriever.snippet(source, query, max_chars=max_chars)


class Counting(list[Any]):
    """A list that knows how many of it were read."""

    read = 0

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        self.read += len(found) if isinstance(index, slice) else 1
        return found


def test_a_long_snippet_of_a_long_text_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word may begin one; what it holds is not read for each. Nor is its white space."""
    real, counted, searched = highlight.matches, list[Counting](), list[str]()

    class Spaces:
        def finditer(self, *arguments: Any) -> Iterator[Any]:
            searched.append("once")
            return real_spaces.finditer(*arguments)

    def matches(*arguments: Any) -> Counting:
        counted.append(Counting(real(*arguments)))
        return counted[-1]

    real_spaces = snippets._SPACE
    monkeypatch.setattr(snippets, "_SPACE", Spaces())
    monkeypatch.setattr(highlight, "matches", matches)
    for times in (100, 400):
        text = "bread is good " * times
        assert len(snippet(text, "bread", max_chars=len(text) // 10, stemmer="english").spans) == times // 10
    assert searched == ["once", "once"]
    assert counted[1].read < 6 * counted[0].read
