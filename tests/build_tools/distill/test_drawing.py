"""Drawing texts from passages."""

from __future__ import annotations

import random

import pytest

from build_tools.corpus.document import Passage
from build_tools.distill.drawing import MAX_CHARACTERS, SHARES, candidates, draw_texts, tidied

CODE = 'def read_all(path):\n    """Reads a whole file at once."""\n    return open(path).read()\n'


def passages(count: int) -> list[Passage]:
    """Passages of three sentences; the first of each two opens a document."""
    return [Passage(f"d{n // 2}", n % 2, f"Topic {n // 2}", _text(n), {}) for n in range(count)]


def _text(number: int) -> str:
    """Three sentences that no other passage has."""
    things = range(number * 3, number * 3 + 3)
    return " ".join(f"Sentence of passage {number} tells of thing{thing} here." for thing in things)


def test_the_same_seed_draws_the_same() -> None:
    """And another seed something else."""
    drawn = draw_texts(passages(100), 150, seed=3)
    assert drawn == draw_texts(iter(passages(100)), 150, seed=3)
    assert drawn != draw_texts(passages(100), 150, seed=4)
    assert len(set(drawn)) == len(drawn) == 150


def test_shares() -> None:
    """The shares add up, and each kind gets its own where there is enough of it."""
    assert sum(SHARES.values()) == pytest.approx(1)
    drawn = draw_texts(passages(1000), 1000, seed=0)
    titles = sum(text.startswith("Topic") for text in drawn)
    sentences = sum(text.startswith("Sentence of passage") and text.endswith("here.") for text in drawn)
    assert titles >= 150
    assert sentences >= 300


def test_a_kind_that_runs_short_leaves_its_place() -> None:
    """Without titles and headings the texts are still as many as were asked for."""
    bare = [Passage("d", 1, "", _text(n), {}) for n in range(300)]
    assert len(draw_texts(bare, 1000, seed=0)) == 1000


def test_what_every_document_repeats_comes_once() -> None:
    """However often it comes."""
    drawn = draw_texts(passages(40) * 10, 5000, seed=0)
    assert len(drawn) == len(set(drawn))


def test_none_wanted() -> None:
    """Then no passage is read."""
    assert draw_texts(iter([None]), 0, seed=0) == []  # type: ignore[list-item]


def test_later_passages_have_no_title() -> None:
    """The title belongs to the first."""
    kinds = [{kind for kind, _ in candidates(passage, random.Random(0))} for passage in passages(2)]
    assert kinds[0] == {"title", "definition", "first", "sentence", "span", "keywords"}
    assert kinds[1] == {"sentence", "span", "keywords"}


def test_code() -> None:
    """Functions give what people ask for them."""
    found = dict(candidates(Passage("k", 0, "", CODE, {}), random.Random(0)))
    assert found["title"] == "read all"
    assert found["first"] == "Reads a whole file at once."
    assert "python" in found["definition"]


def test_long_text_is_cut() -> None:
    """To a bounded number of characters, whatever its kind."""
    endless = Passage("k", 0, "t" * 1000, "word " * 1000 + "\n" + "x" * 100_000 + " y z", {})
    found = [text for _, text in candidates(endless, random.Random(0))]
    assert max(map(len, found)) <= MAX_CHARACTERS
    assert min(map(len, found)) > 0


def test_tidied() -> None:
    """One line, single spaces, no NUL."""
    assert tidied(" a\n\tb\u2028c\0 ") == "a b c"
    assert tidied(" " * 5000 + "x") == ""


@pytest.mark.parametrize(
    "text",
    ["x = 1;\n" + "\n" * 50_000, "public " + "word " * 10_000 + ";", '"""`' + ":a:" * 20_000 + '"""\nx = 1;'],
)
def test_no_passage_takes_for_ever(text: str) -> None:
    """Patterns that backtrack would need minutes for these; as a title too."""
    assert len(list(candidates(Passage("k", 0, text, text, {}), random.Random(0)))) < 10
