"""Times of encoders as shares of the teacher's."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import torch

from build_tools import timing
from build_tools.recipe_training import TeacherSpec
from build_tools.teacher import Teacher
from build_tools.towers import Tower

TEXTS = ["wheel", "anchor and tide", "dough"]


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> Teacher:
    """The tiny teacher."""
    return Teacher(Tower.load(TeacherSpec(str(teacher_folder))))


def test_every_encoder_has_a_ratio(bundle: Path, teacher: Teacher) -> None:
    """In the order asked; PyTorch gets its threads back."""
    before = torch.get_num_threads()
    ratios = timing.latency_ratios(bundle, ["static", "layers2"], teacher, TEXTS)
    assert torch.get_num_threads() == before
    assert list(ratios) == ["static", "layers2"]
    assert all(ratio > 0 for ratio in ratios.values())


def test_the_ratio_is_of_medians_without_the_first_pass(
    bundle: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that ticks once a call, every encoder takes as long as the teacher."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    assert timing.latency_ratios(bundle, ["static"], teacher, TEXTS) == {"static": 1.0}


def test_no_more_texts_than_are_needed(
    bundle: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many were held out; each twice."""
    seen: list[str] = []

    def count(self: Teacher, texts: list[str]) -> None:
        seen.extend(texts)

    monkeypatch.setattr(Teacher, "encode_queries", count)
    monkeypatch.setattr(timing, "QUERIES", 2)
    timing.latency_ratios(bundle, [], teacher, TEXTS)
    assert seen == [*TEXTS[:2], *TEXTS[:2]]
