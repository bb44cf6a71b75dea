"""Drawing training text from passages."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from build_tools.corpus.document import Passage
from build_tools.distill.texts import MAX_CHARACTERS, Reservoir, candidates, draw, read_lines
from build_tools.errors import DataError
from build_tools.recipe import TrainingSpec

SPEC = TrainingSpec(texts=200, held_out=30)


def passages(count: int) -> list[Passage]:
    """Passages of three sentences; the first of each two has a title of its own."""
    return [Passage(f"d{n // 2}", n % 2, f"Title {n // 2}", _text(n), {}) for n in range(count)]


def _text(number: int) -> str:
    """Three sentences that no other passage has."""
    things = range(number * 3, number * 3 + 3)
    return " ".join(f"Sentence of passage {number} tells of thing {thing}." for thing in things)


def _kind(text: str) -> str:
    if text.startswith("Title number"):
        return "title"
    return "sentence" if text.startswith("Sentence") and text.endswith(".") else "span"


def test_the_same_seed_draws_the_same() -> None:
    """And another seed something else."""
    assert draw(passages(100), SPEC) == draw(iter(passages(100)), SPEC)
    assert draw(passages(100), SPEC) != draw(passages(100), replace(SPEC, seed=1))


def test_held_out_text_is_never_trained_on() -> None:
    """Not even where a sentence occurs twice in the corpus."""
    drawn = draw(passages(60) * 2, SPEC)
    assert len(drawn.held_out) <= 30
    assert set(drawn.training).isdisjoint(drawn.held_out)
    every = [*drawn.training, *drawn.held_out]
    assert len(set(every)) == len(every) <= SPEC.texts


def test_at_most_a_tenth_is_held_out() -> None:
    """A small corpus keeps its text for training."""
    drawn = draw(passages(200), replace(SPEC, held_out=10_000))
    total = len(drawn.training) + len(drawn.held_out)
    assert len(drawn.held_out) == total // 10 + 1


def test_shares() -> None:
    """A quarter titles, two fifths sentences, the rest spans, where there is enough of each."""
    long = [Passage(f"d{n}", 0, f"Title number {n}", _text(n), {}) for n in range(500)]
    drawn = draw(long, replace(SPEC, texts=1000, held_out=16))
    kinds = Counter(map(_kind, (*drawn.training, *drawn.held_out)))
    assert kinds["title"] == 250
    assert 380 <= kinds["sentence"] <= 520
    assert kinds["span"] > 200


def test_a_kind_that_runs_short_leaves_its_place() -> None:
    """Without titles the texts are still as many as were asked for."""
    bare = [replace(passage, title="") for passage in passages(300)]
    drawn = draw(bare, SPEC)
    assert len(drawn.training) + len(drawn.held_out) > 0.9 * SPEC.texts


def test_candidates() -> None:
    """A title once a document, sentences of three words or more, spans of 3 to 12 words inside them."""
    sentence = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
    found = list(candidates(Passage("k", 0, "The title", f"{sentence} Too short.", {}), random.Random(0)))
    assert [kind for kind, _ in found] == ["title", "sentence", "span"]
    assert found[1][1] == sentence
    assert found[2][1] in sentence
    assert 3 <= len(found[2][1].split()) <= 12
    later = candidates(Passage("k", 1, "The title", sentence, {}), random.Random(0))
    assert [kind for kind, _ in later] == ["sentence", "span"]


def test_long_text_is_cut() -> None:
    """To a bounded number of characters, whatever its kind."""
    endless = Passage("k", 0, "t" * 1000, "word " * 1000, {})
    assert max(len(text) for _, text in candidates(endless, random.Random(0))) <= MAX_CHARACTERS


def test_the_reservoir_is_uniform() -> None:
    """Over many streams each item is kept about equally often."""
    counts: Counter[str] = Counter()
    for seed in range(2000):
        reservoir = Reservoir(5, random.Random(seed))
        for item in range(20):
            reservoir.offer(str(item))
        assert len(set(reservoir.items)) == 5
        counts.update(reservoir.items)
    assert min(counts.values()) > 400
    assert max(counts.values()) < 600


def test_a_short_stream_is_kept_whole() -> None:
    """In its order."""
    reservoir = Reservoir(5, random.Random(0))
    for item in "abc":
        reservoir.offer(item)
    assert reservoir.items == ["a", "b", "c"]


def test_too_little_text() -> None:
    """An error says how much there was."""
    with pytest.raises(DataError, match="only 2 different texts to learn from; 20 are the least"):
        draw([Passage("k", 0, "", "One two three. Four five six.", {})], SPEC)


def test_extra_queries(tmp_path: Path) -> None:
    """Each non-blank line is a text; BOM, Windows line ends and exotic separators do no harm."""
    path = tmp_path / "queries.txt"
    path.write_bytes("\ufefffirst query\r\n\r\n   \nsecond\u2028query\n".encode() + b"x" * 1000)
    assert read_lines(path) == ["first query", "second\u2028query", "x" * MAX_CHARACTERS]
    drawn = draw(passages(50), replace(SPEC, queries=str(path)))
    assert {"first query", "second\u2028query"} <= {*drawn.training, *drawn.held_out}


def test_bad_query_files(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8: the error names file and field."""
    with pytest.raises(DataError, match=r"training\.queries .*missing.txt: cannot be read \(No such file"):
        read_lines(tmp_path / "missing.txt")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_lines(tmp_path)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("Käse".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt: not UTF-8 at byte 1"):
        read_lines(latin)
