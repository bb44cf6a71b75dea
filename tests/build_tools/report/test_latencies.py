"""Times of a real bundle: the device's own benchmark, once a rung and mode."""

from __future__ import annotations

from pathlib import Path

import torch

from build_tools.progress import Progress
from build_tools.recipe import TeacherSpec
from build_tools.report import latencies
from build_tools.teacher import Teacher
from build_tools.towers import Tower

QUERIES = ("yeast dough oven", "anchor rope", "pulse of the nurse at rest")


def test_measure(bundle: Path) -> None:
    """Each encoder by id; small samples are no news here, since no report shows a 99th percentile."""
    timing, rungs = latencies.measure(bundle, ["layers2", "static"], QUERIES, searches=7, progress=Progress())
    assert (timing.queries, timing.searches, timing.words, timing.bm25.n) == (3, 7, 3, 7)
    assert list(rungs) == ["layers2", "static"]
    assert {times.n for rung in rungs.values() for times in (rung.encode, rung.dense, rung.hybrid)} == {7}
    assert not [warning for warning in timing.warnings if warning.startswith("too small a sample")]
    assert len({warning.split(":")[0] for warning in timing.warnings}) == len(timing.warnings)


def test_the_teacher_takes_one_thread(teacher_folder: Path) -> None:
    """While it is timed, not after."""
    teacher = Teacher(Tower.load(TeacherSpec(model=str(teacher_folder))))
    before = torch.get_num_threads()
    assert latencies.teacher_milliseconds(teacher, QUERIES) > 0
    assert torch.get_num_threads() == before
