"""What students learn from: drawn, aligned, mined and scored once, and again only when it must be."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification

from build_tools import documents, recipe_yaml
from build_tools.distill.cross_encoder import Pair, Scorer
from build_tools.errors import DataError
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import Corpus, DocumentVectors, encode_corpus, read_corpus, reduce_vectors
from build_tools.stages.lessons import WIDER, Lessons, draw_queries, make_lessons
from build_tools.teacher import Teacher
from build_tools.towers import Tower
from build_tools.workspace import Workspace

LISTS = ["training.losses={cosine: 1, listwise: 1}", "training.candidates={count: 4, depth: 12}"]


@dataclass(frozen=True, slots=True)
class Ready:
    """The stages before lessons, and where everything is kept."""

    tower: Tower
    corpus: Corpus
    workspace: Workspace

    def vectors(self, recipe: Recipe) -> tuple[Teacher, DocumentVectors]:
        full, key = encode_corpus(recipe, self.tower, self.corpus, self.workspace, Progress())
        return reduce_vectors(recipe.teacher, self.tower, full, key, self.workspace, Progress())

    def lessons(self, recipe: Recipe) -> Lessons:
        drawn = draw_queries(recipe, self.corpus, self.workspace, Progress())
        teacher, vectors = self.vectors(recipe)
        return make_lessons(recipe, teacher, self.corpus, vectors, drawn, self.workspace, Progress())

    def stages(self) -> set[str]:
        return {path.name for path in self.workspace.root.iterdir()}

    def new_stages(self, recipe: Recipe) -> set[str]:
        """Kinds of stages that `lessons` adds."""
        before = self.stages()
        self.lessons(recipe)
        return {name.partition("-")[0] for name in self.stages() - before}


@pytest.fixture(scope="module")
def encoded(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """The tiny corpus, encoded; do not add to it."""
    recipe, workspace = recipe_yaml.load(recipe_file), Workspace(tmp_path_factory.mktemp("work"))
    tower = Tower.load(recipe.teacher)
    ready = Ready(tower, read_corpus(recipe, tower, workspace, Progress()), workspace)
    ready.vectors(recipe)
    return ready


@pytest.fixture
def ready(encoded: Ready, tmp_path: Path) -> Ready:
    """A copy that a test may add to."""
    workspace = Workspace(Path(shutil.copytree(encoded.workspace.root, tmp_path / "work")))
    stage = encoded.corpus.stage
    moved = replace(stage, directory=workspace.root / stage.directory.name)
    return Ready(encoded.tower, replace(encoded.corpus, stage=moved), workspace)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Thirty queries, each with the document that answers it."""
    path = tmp_path / "labels.csv"
    topics = ("bread", "bicycle", "garden", "sailing", "radio")
    write(
        path, [(f"what of {topic} {number}", f"{topic}-{number}") for topic in topics for number in range(6)]
    )
    return path


def write(path: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """A file of labelled pairs."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("query", "document"), *pairs])


def load(recipe_file: Path, *overrides: str, labels: Path | None = None) -> Recipe:
    """The tiny recipe with overrides, and with labels if there are any."""
    given = [] if labels is None else [f"queries.labels={{source: csv, path: {labels}}}"]
    return recipe_yaml.load(recipe_file, [*given, *overrides])


def same(ours: Lessons, theirs: Lessons) -> bool:
    """Whether two lessons are one."""
    if (ours.key, ours.training.texts, ours.held_out.texts) != (
        theirs.key,
        theirs.training.texts,
        theirs.held_out.texts,
    ):
        return False
    if ours.candidates is not None and theirs.candidates is not None:
        assert np.array_equal(ours.candidates.rows, theirs.candidates.rows)
    return np.array_equal(ours.training.targets, theirs.training.targets)


def test_alignment_alone(ready: Ready, recipe_file: Path) -> None:
    """Texts with the teacher's own vectors; nothing is mined."""
    made = ready.lessons(load(recipe_file))
    assert made.candidates is None
    assert set(made.training.texts).isdisjoint(made.held_out.texts)
    for lesson in (made.training, made.held_out):
        expected = ready.tower.encode_queries(lesson.texts)
        np.testing.assert_allclose(lesson.targets, expected, atol=1e-5)


def test_a_second_call_does_nothing(ready: Ready, recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is drawn or encoded again, and the lessons are the same."""
    recipe = load(recipe_file, *LISTS)
    first, before = ready.lessons(recipe), ready.stages()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(Tower, "encode_queries", refuse)
    monkeypatch.setattr("build_tools.distill.queries.draw", refuse)
    assert same(ready.lessons(recipe), first)
    assert ready.stages() == before


def test_fewer_dimensions_encode_no_text_again(ready: Ready, recipe_file: Path) -> None:
    """The kept vectors are whole; lessons of another number of dimensions have another key."""
    whole = ready.lessons(load(recipe_file))
    fewer = load(recipe_file, "teacher.ndim=8")
    assert ready.new_stages(fewer) == {"reduced"}
    made = ready.lessons(fewer)
    assert made.training.targets.shape == (len(whole.training.texts), 8)
    np.testing.assert_allclose(np.linalg.norm(made.training.targets, axis=1), 1, atol=1e-5)
    assert made.key != whole.key


def test_a_changed_log(ready: Ready, recipe_file: Path, tmp_path: Path) -> None:
    """Its bytes count, not its date."""
    log = tmp_path / "log.txt"
    log.write_text("repair a puncture\nbake without yeast\n", "utf-8")
    recipe = load(recipe_file, f"queries.log={log}")
    assert ready.new_stages(recipe) == {"queries", "lessons"}
    log.write_text("repair a puncture\nbake without yeast\n", "utf-8")
    assert ready.new_stages(recipe) == set()
    log.write_text("repair a puncture\nbake without salt\n", "utf-8")
    assert ready.new_stages(recipe) == {"queries", "lessons"}
    made = ready.lessons(recipe)
    assert "bake without salt" in [*made.training.texts, *made.held_out.texts]


def test_labelled_candidates(ready: Ready, recipe_file: Path, labels: Path) -> None:
    """Column 0 is a passage of the labelled document, no other column is; held-out queries are not mined."""
    made = ready.lessons(load(recipe_file, *LISTS, labels=labels))
    found = made.candidates
    assert found is not None
    assert found.rows.shape[1] == 4
    directory = ready.corpus.stage.directory
    owners, keys = documents.owners(directory), documents.keys(directory)
    labelled = np.flatnonzero(found.labelled).tolist()
    for i in labelled:
        _, _, topic, number = found.texts[i].split()
        first, *others = [keys[owner] for owner in owners[found.rows[i]]]
        assert first == f"{topic}-{number}"
        assert first not in others
    assert set(found.texts) <= set(made.training.texts)
    assert 20 <= len(labelled) < 30


def test_changed_labels(ready: Ready, recipe_file: Path, labels: Path) -> None:
    """Another answer makes other candidates of the same texts; another query makes other texts."""
    recipe = load(recipe_file, *LISTS, labels=labels)
    before = ready.lessons(recipe)
    with labels.open(encoding="utf-8", newline="") as file:
        _, *pairs = [(row[0], row[1]) for row in csv.reader(file)]
    swapped = [(query, "clinic-1" if query in before.training.texts else key) for query, key in pairs]
    write(labels, swapped)
    assert ready.new_stages(recipe) == set()
    after = ready.lessons(recipe)
    assert after.key != before.key
    assert after.training.texts == before.training.texts
    assert before.candidates is not None
    assert after.candidates is not None
    assert not np.array_equal(after.candidates.rows, before.candidates.rows)
    write(labels, [*swapped, ("what of vaccine", "clinic-2")])
    assert ready.new_stages(recipe) == {"queries", "lessons"}


def test_labels_without_a_loss_over_candidates(ready: Ready, recipe_file: Path, labels: Path) -> None:
    """Are queries like any other."""
    made = ready.lessons(load(recipe_file, labels=labels))
    assert made.candidates is None
    assert any(text.startswith("what of") for text in made.training.texts)


@pytest.fixture
def cross_encoder(teacher_folder: Path, tmp_path: Path) -> Path:
    """A tiny random cross-encoder's folder."""
    folder = tmp_path / "cross"
    torch.manual_seed(2)
    ignored = shutil.ignore_patterns("*.safetensors", "1_*", "*modules.json", "*sentence*")
    shutil.copytree(teacher_folder, folder, ignore=ignored)
    config = BertConfig.from_pretrained(teacher_folder, num_labels=1)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_cross_encoder(
    ready: Ready,
    recipe_file: Path,
    labels: Path,
    cross_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scores more candidates than are kept, once; each kept score is of its query and passage."""
    recipe = load(
        recipe_file,
        f"training={{cross_encoder: {cross_encoder}, losses: {{kl: 1}}, "
        "candidates: {count: 4, depth: 12, queries: 40}}",
        labels=labels,
    )
    assert ready.new_stages(recipe) == {"queries", "lessons", "scores"}
    [scores] = ready.workspace.root.glob("scores-*/scores.npy")
    asked: list[Pair] = []
    original = Scorer.score

    def remember(self: Scorer, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        asked.extend(pairs)
        return original(self, pairs)

    monkeypatch.setattr(Scorer, "score", remember)
    found = ready.lessons(recipe).candidates
    assert asked == []
    assert found is not None
    assert found.scores is not None
    assert found.rows.shape == found.scores.shape == (len(found.texts), 4)
    assert len(np.load(scores)) == WIDER * found.rows.size
    contents = list(ready.corpus.contents())
    pairs = [
        (text, contents[row]) for text, rows in zip(found.texts, found.rows, strict=True) for row in rows
    ]
    expected = Scorer.load(str(cross_encoder)).score(pairs).reshape(found.scores.shape)
    np.testing.assert_allclose(found.scores, expected, atol=1e-4)


def test_another_cross_encoder_scores_again(
    ready: Ready, recipe_file: Path, cross_encoder: Path, teacher_folder: Path
) -> None:
    """Texts and candidates stay."""
    recipe = load(
        recipe_file,
        f"training={{cross_encoder: {cross_encoder}, losses: {{preference: 1}}, "
        "candidates: {count: 2, depth: 4, queries: 8}}",
    )
    before = ready.lessons(recipe)
    torch.manual_seed(3)
    config = BertConfig.from_pretrained(teacher_folder, num_labels=1)
    BertForSequenceClassification(config).save_pretrained(cross_encoder)
    assert ready.new_stages(recipe) == {"scores"}
    assert ready.lessons(recipe).key != before.key


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("queries.log=/nowhere/log.txt", "queries.log /nowhere/log.txt: cannot be read"),
        ("queries.labels={source: csv, path: /nowhere.csv}", r"/nowhere\.csv: "),
    ],
)
def test_files_that_are_not_there(ready: Ready, recipe_file: Path, override: str, message: str) -> None:
    """Are said before any query is encoded."""
    with pytest.raises(DataError, match=message):
        draw_queries(load(recipe_file, override), ready.corpus, ready.workspace, Progress())
    assert not list(ready.workspace.root.glob("lessons-*"))


def test_the_kept_queries_are_plain_json(ready: Ready, recipe_file: Path) -> None:
    """For people who want to look at what was drawn."""
    drawn = draw_queries(load(recipe_file), ready.corpus, ready.workspace, Progress())
    [path] = ready.workspace.root.glob("queries-*/queries.json")
    assert json.loads(path.read_text("utf-8"))["training"] == list(drawn.queries.training)
