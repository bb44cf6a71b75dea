"""One student from the recipe's words to a kept module."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from build_tools import reduction
from build_tools.distill.distil import Course, Distilled, check, distil, load
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.lessons import Candidates, Lesson
from build_tools.distill.static import StaticStudent
from build_tools.distill.student import Student
from build_tools.distill.trainer import CHECKPOINT
from build_tools.errors import ModelError
from build_tools.recipe_training import CandidatesSpec, LossWeights, StudentSpec, TeacherSpec, TrainingSpec
from build_tools.teacher import Teacher
from build_tools.towers import Tower
from build_tools.workspace import Stage, Workspace
from edge_runtime.tokenizer import Tokenizer

SPEC = TrainingSpec(steps=6, batch_size=8)
LAYERS = StudentSpec("s", layers=(0, 2), max_tokens=16)
STATIC = StudentSpec("s", "static", max_tokens=16, batch_size=8)
TEXTS = [f"{noun} and {other}" for noun in ("wheel", "anchor", "flour", "seed") for other in "abcdefghij"]


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> Teacher:
    """The tiny teacher."""
    return Teacher(Tower.load(TeacherSpec(str(teacher_folder))))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An empty stage."""
    return Workspace(tmp_path).stage("student")


def _nothing(_: object) -> None:
    """Reports to nobody."""


def course(teacher: Teacher, *, spec: TrainingSpec = SPEC, candidates: Candidates | None = None) -> Course:
    """Teaches `TEXTS`, which are the documents too; the last eight are held out."""
    targets = teacher.encode_queries(TEXTS)
    return Course(
        teacher=teacher,
        training=Lesson(TEXTS[:-8], targets[:-8]),
        held_out=Lesson(TEXTS[-8:], targets[-8:]),
        candidates=candidates,
        documents=targets,
        contents=lambda: iter(TEXTS),
        spec=spec,
    )


def make(
    taught: Course, student: StudentSpec, stage: Stage, *, report: Callable[[object], None] = _nothing
) -> Distilled:
    """One student."""
    return distil(taught, student, stage, report=report, advance=_nothing)


def vectors(made: Distilled) -> Any:
    """Of the first texts, by the student with its own tokenizer."""
    reader = Tokenizer.load(made.tokenizer, max_tokens=16)
    return encode_tokens(made.student, [reader.encode(text) for text in TEXTS[:5]])


@pytest.mark.parametrize("student", [LAYERS, STATIC])
def test_what_is_kept_is_what_was_trained(teacher: Teacher, stage: Stage, student: StudentSpec) -> None:
    """Weights, tokenizer and curve; the checkpoint has had its day."""
    made, kept = make(course(teacher), student, stage), load(stage)
    assert stage.done
    assert made.curve == kept.curve
    assert kept.curve[-1].step == SPEC.steps
    assert made.student.shape == kept.student.shape
    assert (made.layers, made.macs, made.pruned) == (kept.layers, kept.macs, None)
    assert np.array_equal(vectors(made), vectors(kept))
    assert not (stage.directory / CHECKPOINT).exists()


def test_kinds(teacher: Teacher, tmp_path: Path) -> None:
    """Each of its own module, layers and cost."""
    layers = make(course(teacher), LAYERS, Workspace(tmp_path).stage("layers"))
    static = make(course(teacher), STATIC, Workspace(tmp_path).stage("static"))
    assert isinstance(layers.student, Student)
    assert isinstance(static.student, StaticStudent)
    assert (layers.layers, static.layers) == ((0, 2), ())
    assert static.macs < layers.macs / 10


@pytest.mark.parametrize("student", [LAYERS, STATIC])
def test_an_interrupted_student_goes_on(teacher: Teacher, tmp_path: Path, student: StudentSpec) -> None:
    """It is not done before its end, and ends as if nothing had been."""
    plain = make(course(teacher), student, Workspace(tmp_path / "plain").stage("student"))
    stage = Workspace(tmp_path / "interrupted").stage("student")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(course(teacher), student, stage, report=interrupt)
    assert not stage.done
    again = make(course(teacher), student, stage)
    for ours, theirs in zip(again.student.parameters(), plain.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_steps_all_layers_are_the_teacher(teacher: Teacher, stage: Stage) -> None:
    """Nothing is trained, and the curve says so in one point."""
    made = make(course(teacher), replace(LAYERS, layers=None, steps=0), stage)
    assert made.layers == (0, 1, 2)
    assert [point.step for point in made.curve] == [0]
    assert made.curve[0].held_out_cosine == pytest.approx(1, abs=1e-5)


def test_fewer_dimensions_start_from_the_teachers_reduction(teacher: Teacher, stage: Stage) -> None:
    """With all layers and no training the student is the reduced teacher."""
    fitted = reduction.fit(teacher.tower.encode_documents(TEXTS), 8)
    reduced = replace(teacher, reduction=fitted)
    made = make(course(reduced), replace(LAYERS, layers=None, steps=0), stage)
    np.testing.assert_allclose(vectors(made), reduced.encode_queries(TEXTS[:5]), atol=1e-5)


def test_a_base_of_another_width(teacher: Teacher, teacher_folder: Path, tmp_path: Path) -> None:
    """Its projection reads every layer, and is fitted before the first step: it starts far from nowhere."""
    base = tmp_path / "narrow"
    torch.manual_seed(4)
    config = BertConfig.from_pretrained(teacher_folder, hidden_size=16, intermediate_size=24)
    BertModel(config).save_pretrained(base)
    teacher.tower.tokenizer.save_pretrained(base)
    student = replace(LAYERS, base=str(base))
    made = make(course(teacher), student, Workspace(tmp_path).stage("student"))
    assert isinstance(made.student, Student)
    assert (made.student.shape.hidden, made.student.shape.ndim) == (16, 32)
    assert made.student.get_parameter("projection.weight").shape == (32, (1 + len(made.layers)) * 16)
    assert made.curve[0].held_out_cosine > 0.5


def test_a_probe_keeps_the_best_choice(
    teacher: Teacher, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every choice is tried for a short while and recorded; a second run tries none again."""
    monkeypatch.setattr("build_tools.distill.probe.LEAST_STEPS", 2)
    made = make(course(teacher), replace(LAYERS, probe=2), stage)
    trials = json.loads((stage.directory / "probe.json").read_text("utf-8"))
    assert {tuple(trial["layers"]) for trial in trials} == {(0, 1), (0, 2), (1, 2)}
    best = max(trials, key=lambda trial: float(trial["cosine"]))
    assert made.layers == tuple(best["layers"])
    assert list(stage.directory.glob(f"probe-*/{CHECKPOINT}")) == []


def test_a_probe_with_one_choice_trains_no_trial(teacher: Teacher, stage: Stage) -> None:
    """All layers can be kept in one way only."""
    assert make(course(teacher), replace(LAYERS, probe=3), stage).layers == (0, 1, 2)
    assert not (stage.directory / "probe.json").exists()


def test_a_pruned_vocabulary(teacher: Teacher, stage: Stage) -> None:
    """The word table shrinks with the tokenizer; texts of the corpus are read as before."""
    student = replace(LAYERS, layers=None, steps=0, prune_vocabulary=True)
    made, kept = make(course(teacher), student, stage), load(stage)
    assert made.pruned is not None
    assert kept.pruned == made.pruned
    assert isinstance(made.student, Student)
    assert made.student.shape.vocabulary == made.pruned.entries_after < made.pruned.entries_before
    assert made.pruned.bytes_saved > 0
    np.testing.assert_allclose(vectors(made), teacher.encode_queries(TEXTS[:5]), atol=1e-5)


@pytest.mark.parametrize("student", [LAYERS, STATIC])
def test_candidates(teacher: Teacher, stage: Stage, student: StudentSpec) -> None:
    """Labels and the teacher's own order, without any alignment: the curve is of the candidates' loss."""
    rng = np.random.default_rng(0)
    rows = np.stack([[i, *rng.choice(np.delete(np.arange(40), i), 3, replace=False)] for i in range(30)])
    targets = teacher.encode_queries(TEXTS)
    cosines = np.einsum("id,icd->ic", targets[:30], targets[rows])
    found = Candidates(TEXTS[:30], rows, np.ones(30, np.bool_), cosines)
    losses = LossWeights(cosine=0, contrastive=1, listwise=1)
    spec = replace(SPEC, losses=losses, candidates=CandidatesSpec(count=4, batch_size=12))
    made = make(course(teacher, spec=spec, candidates=found), student, stage)
    assert made.curve[-1].held_out_loss is not None


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (replace(LAYERS, layers=(0, 3)), "layer 3 asked for"),
        (replace(LAYERS, probe=4), "encoders.probe 4: the base encoder has 3 layers"),
        (replace(LAYERS, max_tokens=129), "encoders s: max_tokens 129; .* 128 positions"),
        (replace(LAYERS, base="/nowhere"), r"encoders\.base /nowhere: cannot be loaded .*Give `"),
        (replace(STATIC, base="/nowhere"), r"encoders\.base /nowhere: cannot be loaded .*Give `"),
    ],
)
def test_students_that_cannot_be(teacher: Teacher, student: StudentSpec, message: str) -> None:
    """One error, one line, before anything is encoded."""
    with pytest.raises(ModelError, match=message) as caught:
        check(teacher, student)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("student", [LAYERS, STATIC, replace(LAYERS, layers=None), replace(LAYERS, probe=2)])
def test_students_that_can_be(teacher: Teacher, student: StudentSpec) -> None:
    """Nothing is said, and the teacher is as it was."""
    before = _digest(teacher)
    check(teacher, student)
    assert _digest(teacher) == before


def _digest(teacher: Teacher) -> str:
    return hashlib.sha256(teacher.encode_queries(TEXTS[:2]).tobytes()).hexdigest()
