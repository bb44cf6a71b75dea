"""nDCG@10 query by query."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from build_tools.errors import BuildError
from build_tools.evaluate import Questions, agreement
from build_tools.make import reference_of
from build_tools.progress import Progress

Script = Callable[[str], ModuleType]

QUESTIONS = Questions(
    "labels",
    {"first": "?", "second": "??", "none": "!", "lost": "..."},
    {"second": {"d2": 2, "d1": 1}, "first": {"d1": 1}, "none": {"d3": 0}, "lost": {"d9": 1}},
)


def test_systems_of_a_bundle(bundle: Path, script: Script) -> None:
    """The teacher agrees with itself; its students' mean is what the quality card's code says."""
    per_query, progress = script("per_query"), Progress()
    reference = reference_of(bundle, progress)
    assert reference is not None
    texts = ["yeast dough oven", "anchor rope", "pulse and fever"]
    questions = agreement(texts, reference.full.rank(reference.teacher.tower.encode_queries(texts)))
    teacher = per_query.of_teacher(bundle, questions, progress)
    assert teacher.name == reference.teacher.name
    assert teacher.ndcg.tolist() == [1, 1, 1]
    student = per_query.of_encoder(bundle, "static", questions)
    assert student.shape == (3,)
    assert 0 < student.mean() <= 1


def test_a_bundle_alone(bundle: Path, tmp_path: Path, script: Script) -> None:
    """Without its build folder nothing is known of its teacher; the error says what to do."""
    alone = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    with pytest.raises(BuildError, match=r"not in .*/stages any more.*remove .*/bundle and run"):
        script("per_query").of_teacher(alone, QUESTIONS, Progress())
