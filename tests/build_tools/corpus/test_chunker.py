"""Passages stay within the budget and lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.corpus.chunker import chunk
from build_tools.corpus.document import Document
from build_tools.recipe import ChunkSpec


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len("".join(text.split())) for text in texts]


def document(text: str, title: str = "") -> Document:
    return Document("key", title, text, {"year": 1}, "here")


SENTENCES = " ".join(f"Sentence number {n} has exactly eight words here." for n in range(6))


def test_packs_whole_sentences() -> None:
    """Passages hold as many sentences as fit, and carry key, title and metadata."""
    found = chunk(document(SENTENCES, "A title"), ChunkSpec(18, 0), count_words)
    assert [len(passage.text.split()) for passage in found] == [16, 16, 16]
    assert [passage.ordinal for passage in found] == [0, 1, 2]
    assert {(p.document, p.title, p.metadata["year"]) for p in found} == {("key", "A title", 1)}


def test_overlap_repeats_the_last_sentence() -> None:
    """The next passage begins with the sentence that the one before ended with."""
    found = chunk(document(SENTENCES), ChunkSpec(16, 8), count_words)
    assert len(found) == 5
    assert found[1].text.startswith("Sentence number 1")
    assert found[1].text.endswith("Sentence number 2 has exactly eight words here.")


def test_no_budget_keeps_the_document_whole() -> None:
    """Without max_tokens there is one passage, and nothing is counted."""
    found = chunk(document(f"  {SENTENCES}\n"), ChunkSpec(None), count_words)
    assert [passage.text for passage in found] == [SENTENCES]


def test_text_between_sentences_is_kept() -> None:
    """A passage shows the document as it was written, line breaks and all."""
    text = "Head\n\n  * one\n  * two"
    assert chunk(document(text), ChunkSpec(16, 0), count_words)[0].text == text


def test_long_title_takes_at_most_half() -> None:
    """A title beyond half of the budget is cut at a word; its rest is read before the text, and not lost."""
    title = " ".join(f"word{n}" for n in range(25))
    found = chunk(document("The text.", title), ChunkSpec(20, 0), count_words)
    first = " ".join(f"word{n}" for n in range(10))
    assert [(passage.title, passage.text) for passage in found] == [
        (first, " ".join(f"word{n}" for n in range(10, 20))),
        (first, " ".join(f"word{n}" for n in range(20, 25)) + "\n\nThe text."),
    ]


@pytest.mark.parametrize("text", ["A" * 1000, "漢" * 1000, "🙂" * 100])
def test_unbroken_text_is_cut_at_characters(text: str) -> None:
    """A single word beyond the budget is divided; no character is lost."""
    found = chunk(document(text), ChunkSpec(50, 0), count_characters)
    assert "".join(passage.text for passage in found) == text
    assert max(len(passage.text) for passage in found) <= 50


@pytest.mark.parametrize("text", ["ภาษาไทย" * 7000, "a " * 10 + "QUJD" * 10_000 + " b" * 10])
def test_run_that_is_one_unknown_word(text: str) -> None:
    """However few tokens a run without spaces is said to have, it is divided."""
    found = chunk(document(text, "T"), ChunkSpec(101, 0), count_words)
    assert "".join("".join(passage.text for passage in found).split()) == "".join(text.split())
    assert max(len(passage.text) for passage in found) <= 800


@pytest.mark.parametrize("text", ["word " * 100 + "w" * 32, "x" * 32 + "\n" * 2000 + "y"])
def test_other_text_is_counted_as_it_is(text: str) -> None:
    """Words as long as words are, and white space, take no more room than the tokenizer says."""
    assert len(chunk(document(text), ChunkSpec(101, 0), count_words)) == 1


SPECS = st.builds(
    lambda most, share: ChunkSpec(most, most * share // 200), st.integers(16, 60), st.integers(0, 100)
)
TEXTS = st.text(alphabet=st.sampled_from("abC.!? \n。-"), min_size=1, max_size=600).filter(str.strip)
TITLES = st.text(alphabet="xy z", max_size=80).map(lambda text: " ".join(text.split()))


@settings(deadline=None, max_examples=200)
@given(TEXTS, TITLES, SPECS, st.sampled_from([count_words, count_characters]))
def test_properties(text: str, title: str, spec: ChunkSpec, count: object) -> None:
    """Within budget, never empty, in order, nothing lost, the same each time."""
    counter = count_words if count is count_words else count_characters
    found = chunk(document(text, title), spec, counter)
    assert found == chunk(document(text, title), spec, counter)
    assert [passage.ordinal for passage in found] == list(range(len(found)))
    assert all(passage.text.strip() for passage in found)
    assert all(counter([passage.content])[0] <= (spec.max_tokens or 0) for passage in found)
    without_overlap = chunk(document(text, title), ChunkSpec(spec.max_tokens, 0), counter)
    joined = "".join("".join(passage.text.split()) for passage in without_overlap)
    rest = title[len(found[0].title) :].strip()
    assert joined == "".join((rest + text).split())
    text = f"{rest}\n\n{text}" if rest else text
    end = 0
    for passage in found:
        start = text.find(passage.text)
        assert start != -1
        end = max(end, text.rfind(passage.text) + len(passage.text))
    assert end == len(text.rstrip())
