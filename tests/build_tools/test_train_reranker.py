"""Labelled pairs in, a CrossEncoder folder out."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from sentence_transformers import CrossEncoder

from build_tools import quality, recipe_yaml, train_reranker
from build_tools.distill import reranker
from build_tools.distill.cross_encoder import Scorer
from build_tools.distill.reranker import Lists, RerankerSpec
from build_tools.errors import BuildError, DataError, RecipeError
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe

PAIRS = [
    *(("yeast dough oven", "bread-0"), ("salt and crust", "bread-1"), ("loaf rise", "bread-2")),
    *(("wheel chain", "bicycle-0"), ("brake gear", "bicycle-1"), ("tyre pump", "bicycle-3")),
    *(("anchor rope", "sailing-2"), ("tide harbour", "sailing-3"), ("fever dose", "clinic-0")),
]
TESTS = [("water and yeast", "bread-0"), ("pedal", "bicycle-0"), ("mast", "sailing-0")]


@pytest.fixture
def folder(tmp_path: Path, corpus_file: Path) -> Path:
    """The tiny corpus in BEIR layout, with a training and a test split."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    documents = [json.loads(line) for line in corpus_file.read_text("utf-8").splitlines()]
    corpus = [
        {"_id": document["id"], "title": document["title"], "text": document["text"]}
        for document in documents
    ]
    write_lines(folder / "corpus.jsonl", corpus)
    queries = []
    for split, pairs in (("train", PAIRS), ("test", TESTS)):
        rows = [f"{split}{i}\t{document}\t1\n" for i, (_, document) in enumerate(pairs)]
        (folder / "qrels" / f"{split}.tsv").write_text("".join(rows), "utf-8")
        queries += [{"_id": f"{split}{i}", "text": text} for i, (text, _) in enumerate(pairs)]
    write_lines(folder / "queries.jsonl", queries)
    return folder


def write_lines(path: Path, values: list[dict[str, object]]) -> None:
    """A jsonl file."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")


@pytest.fixture
def recipe(folder: Path, teacher_folder: Path) -> Recipe:
    """Small lists, one passage a document."""
    text = f"""\
name: tiny
corpus: {{source: beir, path: {folder}}}
chunk: {{max_tokens: null}}
teacher: {{model: {teacher_folder}}}
queries: {{labels: {{source: beir}}}}
training: {{losses: {{contrastive: 1}}, candidates: {{count: 4, depth: 10}}}}
"""
    return recipe_yaml.parse(text.encode(), "tiny.yaml")


@pytest.fixture
def spec(teacher_folder: Path) -> RerankerSpec:
    """From the teacher's own encoder."""
    return RerankerSpec(base=str(teacher_folder), epochs=2, max_tokens=48, learning_rate=1e-3)


@pytest.fixture
def run(recipe: Recipe, spec: RerankerSpec, tmp_path: Path) -> Callable[..., QualityCard]:
    """Trains, with other settings where they are given."""

    def run(recipe: Recipe = recipe, spec: RerankerSpec = spec, out: str = "reranker") -> QualityCard:
        return train_reranker.train_reranker(
            recipe, spec, build=tmp_path / "build", out=tmp_path / out, progress=Progress()
        )

    return run


Run = Callable[..., QualityCard]


def with_labels(recipe: Recipe, **changes: object) -> Recipe:
    """The recipe with other labels."""
    assert recipe.queries.labels is not None
    labels = dataclasses.replace(recipe.queries.labels, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(recipe, queries=dataclasses.replace(recipe.queries, labels=labels))


def test_what_it_writes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that sentence-transformers and the second teacher load, with its curve and its figures."""
    card = run()
    out = tmp_path / "reranker"
    assert quality.read(out) == card
    assert (card.basis, card.queries) == ("labels", 3)
    assert [row.system for row in card.rows][2:] == [
        "fusion of both",
        "its top 50 reranked",
        "its top 50, sum of both",
    ]
    curve = [json.loads(line) for line in (out / reranker.CURVE).read_text("utf-8").splitlines()]
    assert [point["step"] for point in curve] == [1, 2]
    assert CrossEncoder(str(out), device="cpu").max_seq_length == 48
    assert np.isfinite(Scorer.load(str(out)).score([("yeast", "dough")])).all()
    assert not any(str(tmp_path) in text for text in texts_of(out))
    told = capsys.readouterr().err
    assert "labels     8 queries to learn from, 1 held out" in told
    assert "nDCG@10 on held-out queries" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beir", "build", "reranker"]


def texts_of(folder: Path) -> list[str]:
    """Every text file in a folder."""
    return [
        path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.suffix in (".json", ".yaml", ".jsonl", ".md")
    ]


def test_a_second_call_trains_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stages stand; the same folder is written again, elsewhere too."""
    first = run()

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(reranker, "train", never)
    assert run(out="copy") == first
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("reranker", "copy")]
    assert weights[0] == weights[1]
    run()
    with pytest.raises(AssertionError):
        run(spec=RerankerSpec(base=str(tmp_path / "reranker"), max_tokens=48))


def test_other_candidates_of_the_same_queries(
    run: Run, recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of what was read before are not taken for theirs, even where the reranker is the same."""
    mine = train_reranker._mine
    lists: list[Lists] = []

    def first(*arguments: object) -> Lists:
        lists.append(lists[0] if lists else mine(*arguments))  # type: ignore[arg-type]
        return lists[0]

    monkeypatch.setattr(train_reranker, "_mine", first)
    run()
    path = folder / "corpus.jsonl"
    path.write_text(path.read_text("utf-8").replace("yeast", "mast"), "utf-8")
    again = run()
    shutil.rmtree(folder.parent / "build")
    assert again == run()


def test_other_answers_to_held_out_queries(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose another epoch, perhaps: what was chosen by the old ones is not taken."""
    split = train_reranker._split
    asked: list[str] = []

    def spied(*arguments: Any) -> Any:
        both = split(*arguments)
        asked[:] = both[1]
        return both

    monkeypatch.setattr(train_reranker, "_split", spied)
    run()
    number = [query for query, _ in PAIRS].index(asked[0])
    path = folder / "qrels/train.tsv"
    path.write_text(
        path.read_text("utf-8").replace(f"train{number}\t{PAIRS[number][1]}", f"train{number}\tsailing-1")
    )
    trained = Mock(side_effect=reranker.train)
    monkeypatch.setattr(reranker, "train", trained)
    run()
    trained.assert_called_once()


def test_an_interrupted_run_goes_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it saves its second checkpoint: the next call does the second step alone."""
    expected = run(out="whole")
    shutil.rmtree(tmp_path / "build")
    saved: list[int] = []
    save, step = reranker._save, reranker._step

    def dying(*arguments: object) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(1)
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reranker, "_save", dying)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "reranker").exists()
    monkeypatch.setattr(reranker, "_save", save)
    steps: list[object] = []
    monkeypatch.setattr(reranker, "_step", lambda *a: steps.append(a[-1]) or step(*a))
    assert run() == expected
    assert steps == [(0, 1)]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("reranker", "whole")]
    assert weights[0] == weights[1]


def test_without_judged_queries(run: Run, recipe: Recipe, folder: Path) -> None:
    """It is measured on the queries that it held out."""
    labels = shutil.copytree(folder, folder.parent / "labels")
    shutil.rmtree(folder / "qrels")
    card = run(with_labels(recipe, path=str(labels)))
    assert (card.basis, card.queries) == ("labels", 1)


def test_titles_as_queries(run: Run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reranker reads does not begin with the query itself."""
    read: list[str] = []
    score = Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda self, pairs: read.extend(p for _, p in pairs) or score(self, pairs)
    )
    run(with_labels(recipe, source="titles", path=None), spec_with_one_epoch(recipe))
    assert read
    assert not any(text.startswith(("bread ", "bicycle ", "sailing ")) for text in read)


def spec_with_one_epoch(recipe: Recipe) -> RerankerSpec:
    """The shortest training."""
    return RerankerSpec(base=recipe.teacher.model, epochs=1, max_tokens=32)


def test_no_labels(run: Run, recipe: Recipe) -> None:
    """It says which key of the recipe is missing."""
    bare = dataclasses.replace(
        recipe, queries=dataclasses.replace(recipe.queries, labels=None), training=type(recipe.training)()
    )
    with pytest.raises(RecipeError, match=r"train-reranker learns from labelled pairs.*queries\.labels"):
        run(bare)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("queries.jsonl", r"queries\.jsonl: no such file"),
        ("qrels/test.tsv", "none of its relevant documents is in this bundle"),
    ],
)
def test_mistakes_show_before_the_work(
    run: Run, folder: Path, tmp_path: Path, name: str, message: str
) -> None:
    """Not after the documents are encoded."""
    (folder / name).unlink()
    if name.startswith("qrels"):
        (folder / name).write_text("test0\tother\t1\n", "utf-8")
    with pytest.raises(DataError, match=message):
        run()
    assert list((tmp_path / "build").glob("tiny/stages/documents-*"))
    assert not list((tmp_path / "build").glob("tiny/stages/vectors-*"))


def test_one_query(run: Run, folder: Path) -> None:
    """Nothing would be held out."""
    (folder / "qrels" / "train.tsv").write_text("train0\tbread-0\t1\n", "utf-8")
    with pytest.raises(DataError, match=r"queries\.labels: expected two queries or more"):
        run()


@pytest.mark.parametrize("name", ["mine", "mine.new"])
def test_a_folder_of_something_else(run: Run, tmp_path: Path, name: str) -> None:
    """Nobody's files are replaced, nor those beside it; and that is found before any work."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(BuildError, match=rf"{name}: holds something else than an earlier reranker"):
        run(out="mine")
    assert (tmp_path / name / "thesis.txt").exists()
    assert not (tmp_path / "build").exists()


def test_an_earlier_reranker_put_aside(run: Run, tmp_path: Path) -> None:
    """By its owner, as far as anybody knows: it is not removed."""
    (tmp_path / "reranker.old").mkdir()
    (tmp_path / "reranker.old" / reranker.CURVE).write_text("", "utf-8")
    with pytest.raises(BuildError, match=r"reranker\.old: is in the way"):
        run()
    assert (tmp_path / "reranker.old" / reranker.CURVE).exists()


def test_here(run: Run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the folder that the command is called in, whatever an interrupted run has left beside it."""
    here = tmp_path / "here"
    for folder in (here, here.with_name("here.new")):
        folder.mkdir()
    (here.with_name("here.new") / reranker.CURVE).write_text("", "utf-8")
    (here.with_name("here.new") / "left.bin").write_bytes(b"half")
    monkeypatch.chdir(here)
    train_reranker.train_reranker(
        recipe, spec_with_one_epoch(recipe), build=tmp_path / "build", out=Path(), progress=Progress()
    )
    assert (here / reranker.CURVE).is_file()
    assert not (here / "left.bin").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beir", "build", "here"]


def test_an_interrupted_write_is_known_for_ours(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call is not refused for the sake of what it left."""
    save = CrossEncoder.save

    def interrupted(self: CrossEncoder, path: str, **options: bool) -> None:
        save(self, path, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CrossEncoder, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run()
    run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beir", "build", "reranker"]
