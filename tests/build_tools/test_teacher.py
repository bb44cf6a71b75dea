"""The teacher as students know it: whole, or in fewer dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from build_tools import reduction
from build_tools.recipe_training import TeacherSpec
from build_tools.teacher import Teacher
from build_tools.towers import Tower

TEXTS = ["wheel and chain", "dough", "the anchor of a sail", "E-105", "soil"]


@pytest.fixture(scope="module")
def tower(teacher_folder: Path) -> Tower:
    """The tiny teacher's tower."""
    return Tower.load(TeacherSpec(str(teacher_folder)))


def test_the_whole_teacher_is_the_tower(tower: Tower) -> None:
    """The same vectors, the same identity."""
    teacher = Teacher(tower)
    assert (teacher.name, teacher.ndim, teacher.key) == (tower.name, 32, tower.digest)
    vectors = tower.encode_queries(TEXTS)
    assert np.array_equal(teacher.encode_queries(TEXTS), vectors)
    assert teacher.reduced(vectors) is vectors


def test_fewer_dimensions(tower: Tower) -> None:
    """Unit vectors by the matrix, whether encoded now or before."""
    vectors = tower.encode_queries(TEXTS)
    fitted = reduction.fit(vectors, 8, method="prefix")
    teacher = Teacher(tower, fitted)
    assert (teacher.name, teacher.ndim) == (tower.name, 8)
    expected = vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(teacher.encode_queries(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(teacher.reduced(vectors), expected, atol=1e-6)


def test_the_key_follows_the_reduction(tower: Tower) -> None:
    """Two maps to as many dimensions are two teachers; the same map is the same."""
    vectors = tower.encode_documents(TEXTS)
    maps = [reduction.fit(vectors, ndim, method=how) for ndim, how in ((8, "prefix"), (8, "pca"), (9, "pca"))]  # type: ignore[arg-type]
    keys = {Teacher(tower, fitted).key for fitted in maps} | {Teacher(tower).key}
    assert len(keys) == 4
    assert Teacher(tower, reduction.fit(vectors, 8)).key == Teacher(tower, maps[1]).key
