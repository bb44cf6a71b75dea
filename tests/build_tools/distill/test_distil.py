"""One student from the recipe's words to a kept module."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizer

from build_tools.distill import distil as distils
from build_tools.distill.distil import Distilled, Lesson, distil, load, save_tokenizer, untrained
from build_tools.distill.trainer import CHECKPOINT, encode_tokens
from build_tools.errors import ModelError
from build_tools.recipe import StudentSpec, TeacherSpec, TrainingSpec
from build_tools.towers import Tower
from build_tools.workspace import Stage, Workspace
from edge_runtime.tokenizer import Tokenizer

SPEC = TrainingSpec(steps=6, batch_size=8, held_out=16)
STUDENT = StudentSpec("s", layers=(0, 2), max_tokens=16)
TEXTS = [f"{noun} and {other}" for noun in ("wheel", "anchor", "flour", "seed") for other in "abcdefghij"]


@pytest.fixture(scope="module")
def tower(teacher_folder: Path) -> Tower:
    """The tiny teacher."""
    return Tower.load(TeacherSpec(str(teacher_folder)))


def _nothing(_: object) -> None:
    """Reports to nobody."""


def make(tower: Tower, stage: Stage, *, report: Callable[[object], None] = _nothing) -> Distilled:
    """Distils on `TEXTS`, the last eight of them held out."""
    targets = tower.encode_queries(TEXTS)
    return distil(
        tower,
        STUDENT,
        training=Lesson(TEXTS[:-8], targets[:-8]),
        held_out=Lesson(TEXTS[-8:], targets[-8:]),
        spec=SPEC,
        stage=stage,
        report=report,
        advance=_nothing,
    )


def test_what_is_kept_is_what_was_trained(tower: Tower, tmp_path: Path) -> None:
    """Weights, tokenizer and curve; the checkpoint has had its day."""
    stage = Workspace(tmp_path).stage("student")
    made, kept = make(tower, stage), load(stage)
    assert stage.done
    assert made.curve == kept.curve
    assert kept.curve[-1].step == SPEC.steps
    tokens = [Tokenizer.load(kept.tokenizer, max_tokens=16).encode(text) for text in TEXTS[:3]]
    assert np.array_equal(encode_tokens(made.student, tokens), encode_tokens(kept.student, tokens))
    assert not (stage.directory / CHECKPOINT).exists()


def test_an_interrupted_student_goes_on(tower: Tower, tmp_path: Path) -> None:
    """It is not done before its end, and ends as if nothing had been."""
    plain = make(tower, Workspace(tmp_path / "plain").stage("student"))
    stage = Workspace(tmp_path / "interrupted").stage("student")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tower, stage, report=interrupt)
    assert not stage.done
    again = make(tower, stage)
    for ours, theirs in zip(again.student.parameters(), plain.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_base_of_its_own(tower: Tower, teacher_folder: Path) -> None:
    """Any transformers folder; here the teacher's own, so the student is the same."""
    own, _ = untrained(tower, StudentSpec("s", str(teacher_folder), (0, 2)), seed=0)
    cut, _ = untrained(tower, StudentSpec("s", "teacher", (0, 2)), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), cut.parameters(), strict=True))


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (StudentSpec("s", layers=(0, 3)), "layer 3 asked for"),
        (StudentSpec("s", layers=(0,), max_tokens=129), "encoders s: max_tokens 129; .* 128 positions"),
        (StudentSpec("s", base="/nowhere"), r"encoders\.base /nowhere: cannot be loaded .*Give `teacher`"),
    ],
)
def test_students_that_cannot_be(tower: Tower, student: StudentSpec, message: str) -> None:
    """One error, one line."""
    with pytest.raises(ModelError, match=message) as caught:
        untrained(tower, student, seed=0)
    assert "\n" not in str(caught.value)


def test_the_tokenizer_neither_pads_nor_cuts(tower: Tower, tmp_path: Path) -> None:
    """Whatever its authors left in it: the runtime decides about lengths."""
    tower.tokenizer(["one", "a longer text"], padding=True, truncation=True, max_length=4)
    save_tokenizer(tower.tokenizer, tmp_path / "tokenizer.json")
    settings = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert settings["padding"] is settings["truncation"] is None
    reader = Tokenizer.load(tmp_path / "tokenizer.json", max_tokens=64)
    assert reader.encode("wheel and anchor") == tower.tokenizer("wheel and anchor")["input_ids"]


def test_a_tokenizer_in_python_only(tmp_path: Path) -> None:
    """Cannot be shipped."""
    slow = PreTrainedTokenizer.__new__(PreTrainedTokenizer)
    slow.name_or_path = "old"
    with pytest.raises(ModelError, match=r"old: has no fast tokenizer \(tokenizer\.json\)"):
        save_tokenizer(slow, tmp_path / distils.TOKENIZER)
