"""Whose figure counts: the student's, its kind's, the recipe's."""

from __future__ import annotations

import pytest

from build_tools.distill.budget import Budget, resolve
from build_tools.recipe_training import StudentSpec, TrainingSpec

TRAINING = TrainingSpec(steps=70, batch_size=16, learning_rate=1e-4)
STATIC = StudentSpec(kind="static")


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        (StudentSpec(), Budget(70, 16, 1e-4)),
        (StudentSpec(steps=0, batch_size=5), Budget(0, 5, 1e-4)),
        (StudentSpec(learning_rate=0.5), Budget(70, 16, 0.5)),
        (STATIC, Budget(70, 256, 2e-3)),
        (StudentSpec(kind="static", steps=9, batch_size=8, learning_rate=0.1), Budget(9, 8, 0.1)),
    ],
)
def test_resolve(student: StudentSpec, expected: Budget) -> None:
    """A student's own come first; a static one has defaults of its own."""
    assert resolve(student, TRAINING) == expected
