"""Projections fitted in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from build_tools.distill import initialise
from build_tools.distill.base import Base
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.initialise import fit_projection, pooled_states, ridge
from build_tools.distill.student import Student, cut
from build_tools.recipe_training import TeacherSpec
from build_tools.towers import Tower

TEXTS = [
    f"{verb} the {noun} {tail}"
    for verb in ("take", "check", "keep", "clean", "test")
    for noun in ("wheel", "flour", "anchor", "battery", "wound", "chain", "soil", "rope")
    for tail in ("near water", "last", "and put it back", "of the bicycle")
]


@pytest.fixture(scope="module")
def tower(teacher_folder: Path) -> Tower:
    """The tiny teacher."""
    return Tower.load(TeacherSpec(str(teacher_folder)))


def lesson(tower: Tower) -> tuple[list[list[int]], NDArray[np.float32]]:
    """Token ids of `TEXTS` and the teacher's vectors."""
    return tower.tokenizer(TEXTS)["input_ids"], tower.encode_queries(TEXTS)


def student_of(tower: Tower, ndim: int = 32, *, every_layer: bool = True, seed: int = 0) -> Student:
    """Two of the tiny teacher's layers."""
    base = Base.load(tower, "teacher")
    return cut(base.model, (0, 2), ndim, base.pooling, every_layer=every_layer, seed=seed)


def test_a_linear_relation_is_found() -> None:
    """Targets that are an affine map of the states give that map back."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 6)).astype(np.float32)
    weights = rng.normal(size=(3, 6)).astype(np.float32)
    bias = np.array([1, -2, 0.5], np.float32)
    found_weights, found_bias = ridge(states, states @ weights.T + bias)
    assert found_weights == pytest.approx(weights, abs=1e-3)
    assert found_bias == pytest.approx(bias, abs=1e-3)


def test_few_noisy_texts_are_not_fitted_exactly() -> None:
    """With fewer texts than dimensions, and targets of noise, the map stays near their mean."""
    rng = np.random.default_rng(1)
    states, targets = rng.normal(size=(2, 24, 40)).astype(np.float32)
    weights, bias = ridge(states, targets)
    assert np.abs(weights).max() < 0.02
    assert bias == pytest.approx(targets.mean(0), abs=0.05)


def test_states_that_are_all_the_same() -> None:
    """Say nothing: the bias is the mean of the targets."""
    weights, bias = ridge(np.ones((5, 2), np.float32), np.eye(5, dtype=np.float32))
    assert weights == pytest.approx(0, abs=1e-6)
    assert bias == pytest.approx(0.2)


def test_a_student_starts_near_the_teacher(tower: Tower) -> None:
    """On texts it was not fitted on, far nearer than from a random start."""
    tokens, targets = lesson(tower)
    student = student_of(tower).eval()

    def cosine() -> float:
        return float((encode_tokens(student, tokens[1::2]) * targets[1::2]).sum(1).mean())

    before = cosine()
    fit_projection(student, tokens[::2], targets[::2])
    assert before < 0.5 < 0.7 < cosine()


def test_the_same_texts_give_the_same_weights(tower: Tower) -> None:
    """Whatever the random start was; only the projection changes."""
    tokens, targets = lesson(tower)
    first, second, untouched = (student_of(tower, 20, seed=seed) for seed in (1, 2, 3))
    for student in (first, second):
        fit_projection(student, tokens, np.ascontiguousarray(targets[:, :20]))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
        assert torch.equal(weight, untouched.state_dict()[name]) == ("projection" not in name)


def test_weights_are_of_the_usual_size(tower: Tower) -> None:
    """Otherwise the first steps of training would undo them; the vectors' directions do not depend on it."""
    tokens, targets = lesson(tower)
    student = student_of(tower)
    fit_projection(student, tokens, targets)
    weights = student.get_parameter("projection.weight").detach().numpy()
    drawn = student_of(tower).get_parameter("projection.weight").detach().numpy()
    assert np.sqrt((weights**2).mean()) == pytest.approx(np.sqrt((drawn**2).mean()), rel=0.1)
    fitted, bias = ridge(pooled_states(student, tokens), targets)
    directions = pooled_states(student, tokens) @ fitted.T + bias
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert encode_tokens(student, tokens) == pytest.approx(directions, abs=1e-4)


def test_texts_that_are_all_the_same(tower: Tower) -> None:
    """Leave weights of zero and a bias: every query gets the teacher's one vector."""
    tokens, targets = lesson(tower)
    student = student_of(tower)
    fit_projection(student, tokens[:1] * 5, targets[:1].repeat(5, axis=0))
    assert encode_tokens(student, tokens[:1]) == pytest.approx(targets[:1], abs=1e-5)


def test_an_even_sample_is_read(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> None:
    """First and last text included, however many there are."""
    tokens, targets = lesson(tower)
    monkeypatch.setattr(initialise, "SAMPLE", 5)
    sampled, picked = student_of(tower), student_of(tower)
    fit_projection(sampled, tokens, targets)
    rows = [0, 39, 79, 119, 159]
    assert rows[-1] == len(tokens) - 1
    fit_projection(picked, [tokens[row] for row in rows], targets[rows])
    assert torch.equal(sampled.get_parameter("projection.weight"), picked.get_parameter("projection.weight"))


def test_a_student_without_a_projection(tower: Tower) -> None:
    """Is left as it is."""
    tokens, targets = lesson(tower)
    student = student_of(tower, every_layer=False)
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    fit_projection(student, tokens, targets)
    assert all(torch.equal(weight, before[name]) for name, weight in student.state_dict().items())


def test_states_are_in_the_order_given(tower: Tower) -> None:
    """Although batches are sorted by length."""
    tokens, _ = lesson(tower)
    student = student_of(tower)
    together = pooled_states(student, tokens[:9])
    alone = np.concatenate([pooled_states(student, [sequence]) for sequence in tokens[:9]])
    assert together == pytest.approx(alone, abs=1e-5)
