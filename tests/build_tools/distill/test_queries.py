"""The training queries of a corpus, and those held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.corpus.document import Passage
from build_tools.distill import queries
from build_tools.distill.drawing import MAX_CHARACTERS
from build_tools.distill.queries import draw, read_log
from build_tools.distill.words import fold
from build_tools.errors import DataError
from build_tools.recipe_training import QueriesSpec

SPEC = QueriesSpec(generated=200, held_out=30, noise=0)


def passages(count: int) -> list[Passage]:
    """One document each, of two sentences."""
    return [
        Passage(f"d{n}", 0, f"Title {n}", f"Passage {n} tells of bread{n}. It rises in oven{n} at noon.", {})
        for n in range(count)
    ]


def folds(texts: tuple[str, ...]) -> set[str]:
    """What the texts say."""
    return {fold(text) for text in texts}


def test_the_same_arguments_draw_the_same() -> None:
    """And another seed something else, noise included."""
    spec = replace(SPEC, noise=0.5)
    assert draw(passages(60), spec, seed=1) == draw(iter(passages(60)), spec, seed=1)
    assert draw(passages(60), spec, seed=1) != draw(passages(60), spec, seed=2)


def test_the_best_come_first(tmp_path: Path) -> None:
    """Labelled, logged, written, drawn; a text of several sources counts as of the first."""
    log = tmp_path / "log.txt"
    log.write_text("logged one\nlabelled one\nlogged two\n", "utf-8")
    drawn = draw(
        passages(60),
        replace(SPEC, log=str(log), held_out=16),
        seed=4,
        labelled=["labelled one", " labelled  two "],
        written=["written one", "logged two", ""],
    )
    ranks = {"labelled one": 0, "labelled two": 0, "logged one": 1, "logged two": 1, "written one": 2}
    found = [ranks.get(text, 3) for text in drawn.training]
    assert found == sorted(found)
    assert set(ranks) <= {*drawn.training, *drawn.held_out}
    assert drawn.training.count("logged two") <= 1


def test_held_out_of_every_source() -> None:
    """A random share of labelled, written and drawn texts alike; at most as many as asked for."""
    labelled = [f"labelled {n}" for n in range(100)]
    written = [f"written {n}" for n in range(100)]
    drawn = draw(passages(100), SPEC, seed=0, labelled=labelled, written=written)
    assert len(drawn.held_out) == 30
    sources = [text.split()[0] for text in drawn.held_out]
    assert 1 <= sources.count("labelled") < 20
    assert 1 <= sources.count("written") < 20
    assert {*sources} > {"labelled", "written"}
    assert drawn.held_out_labelled == tuple(text for text in labelled if text in drawn.held_out)


def test_at_most_a_tenth_is_held_out() -> None:
    """A small corpus keeps its text for training."""
    drawn = draw(passages(100), replace(SPEC, held_out=10_000), seed=0)
    assert len(drawn.held_out) == (len(drawn.training) + len(drawn.held_out)) // 10 + 1


def test_other_spellings_of_held_out_texts_do_not_train() -> None:
    """Case, punctuation and spacing do not make a new text; labelled ones are named as they were given."""
    texts = [f"how do oven{n} work" for n in range(200)]
    spellings = [text.upper().replace(" ", "  ") + "?" for text in texts]
    drawn = draw([], replace(SPEC, generated=0), seed=0, labelled=[*texts, *spellings])
    assert len(drawn.held_out) == 21
    assert folds(drawn.training).isdisjoint(folds(drawn.held_out))
    assert len(drawn.held_out_labelled) == 42
    assert {text.lower() for text in drawn.held_out} == {
        text for text in drawn.held_out_labelled if text.islower()
    }


def test_queries_of_the_evaluation() -> None:
    """None trains or is held out, wherever it comes from; the card counts them."""
    labelled = [f"labelled {n}" for n in range(50)]
    drawn = draw(
        passages(50),
        SPEC,
        seed=0,
        labelled=labelled,
        evaluation=["Labelled 7?", "labelled 8", "title 3", "x"],
    )
    every = folds((*drawn.training, *drawn.held_out))
    assert every.isdisjoint({"labelled 7", "labelled 8", "title 3"})
    assert 2 <= drawn.barred <= 3


def test_a_long_query_of_the_evaluation() -> None:
    """Is known by its beginning, since training texts are cut."""
    long = "word " * 200
    labelled = [*(f"labelled {n}" for n in range(50)), long]
    drawn = draw([], replace(SPEC, generated=0), seed=0, labelled=labelled, evaluation=[long])
    assert drawn.barred == 1
    assert max(map(len, drawn.training)) < 20


def test_noise() -> None:
    """Copies of a share of the training texts, new ones, after all others."""
    clean = draw(passages(60), SPEC, seed=0)
    drawn = draw(passages(60), replace(SPEC, noise=0.5), seed=0)
    assert drawn.training[: len(clean.training)] == clean.training
    assert drawn.held_out == clean.held_out
    copies = drawn.training[len(clean.training) :]
    assert len(clean.training) * 0.4 < len(copies) <= round(len(clean.training) * 0.5)
    assert len(set(drawn.training)) == len(drawn.training)


WORDS = st.sampled_from(["yeast", "Yeast", "dough", "DOUGH?", "oven", "what", "is", "rise", "salt", "Straße"])
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), min_size=20, max_size=60)


@settings(deadline=None, max_examples=25)
@given(labelled=TEXTS, evaluation=TEXTS.map(lambda texts: texts[:5]), seed=st.integers(0, 1 << 32))
def test_held_out_and_training_never_meet(labelled: list[str], evaluation: list[str], seed: int) -> None:
    """Whatever the texts, with as much noise as there can be and hardly any different words."""
    spec = replace(SPEC, generated=80, noise=1.0, held_out=16)
    drawn = draw(
        passages(12), spec, seed=seed, labelled=labelled, written=labelled[::2], evaluation=evaluation
    )
    training, held_out, barred = folds(drawn.training), folds(drawn.held_out), folds(tuple(evaluation))
    assert training.isdisjoint(held_out)
    assert barred.isdisjoint(training | held_out)
    assert {text.casefold() for text in drawn.training}.isdisjoint(text.casefold() for text in drawn.held_out)
    assert len(set(drawn.training)) == len(drawn.training)
    assert len(held_out) == len(drawn.held_out) <= 16
    assert set(drawn.held_out_labelled) == {text for text in labelled if fold(text) in held_out}


def test_too_little_text() -> None:
    """An error says how much there was and what to do: to ask for more only where there is more."""
    few = r"^queries: only 3 different texts .* 20 are the least that makes sense\. "
    with pytest.raises(DataError, match=rf"{few}Raise queries\.generated, or name queries\.log"):
        draw([], replace(SPEC, generated=0), seed=0, labelled=["a b", "c d", "e f"])
    with pytest.raises(DataError, match=rf"{few}Raise queries\.generated, or name queries\.log"):
        draw(passages(60), replace(SPEC, generated=3), seed=0)
    with pytest.raises(DataError, match=rf"{few}The documents give no more; add documents, or name queries"):
        draw([], replace(SPEC, generated=300), seed=0, labelled=["a b", "c d", "e f"])


def test_log(tmp_path: Path) -> None:
    """Each non-blank line is a query; BOM, Windows line ends and exotic separators do no harm."""
    path = tmp_path / "queries.txt"
    path.write_bytes("\ufefffirst query\r\n\r\n   \nsecond\u2028query\n".encode() + b"x" * 1000)
    assert sorted(read_log(path, seed=0)) == ["first query", "second query", "x" * MAX_CHARACTERS]
    drawn = draw(passages(50), replace(SPEC, log=str(path)), seed=0)
    assert {"first query", "second query"} <= {*drawn.training, *drawn.held_out}


def test_a_long_log_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, and repeated queries count once."""
    monkeypatch.setattr(queries, "LOG_TEXTS", 10)
    path = tmp_path / "log.txt"
    path.write_text("".join(f"query {n % 40}\n" for n in range(400)), "utf-8")
    found = read_log(path, seed=0)
    assert len(set(found)) == len(found) == 10
    assert found == read_log(path, seed=0) != read_log(path, seed=1)


def test_bad_logs(tmp_path: Path) -> None:
    """Missing, a folder, blank, or not UTF-8: the error names field, file and line."""
    with pytest.raises(DataError, match=r"queries\.log .*missing.txt: cannot be read \(No such file"):
        read_log(tmp_path / "missing.txt", seed=0)
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_log(tmp_path, seed=0)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("good\nKäse\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt:2: expected UTF-8; found byte 0xe4 at position 2"):
        read_log(latin, seed=0)
    blank = tmp_path / "blank.txt"
    blank.write_text("\n  \n", "utf-8")
    with pytest.raises(DataError, match=r"blank\.txt: expected a query in each line; found none"):
        read_log(blank, seed=0)
