"""Training: that it learns, that it stops, and that interruptions leave no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from build_tools.distill import trainer
from build_tools.distill.student import Student, StudentShape
from build_tools.distill.trainer import (
    CandidateExamples,
    CurvePoint,
    Examples,
    best,
    resolve,
    schedule,
    similarity,
    train,
)
from build_tools.errors import BuildError
from build_tools.recipe_training import CandidatesSpec, LossWeights, StudentSpec, TrainingSpec

SPEC = TrainingSpec(steps=24, batch_size=8, learning_rate=0.003, train_embeddings=True)
ALIGNED = LossWeights(cosine=1, l2=0.5, contrastive=0.2, kl=0.1)
RANKED = LossWeights(cosine=0, contrastive=1, triplet=1, margin_mse=1, preference=1, listwise=1)
SPECS = {
    "alignment": SPEC,
    "both": replace(SPEC, losses=ALIGNED, patience=15, cross_encoder="given"),
    "gradcache": replace(
        SPEC, losses=RANKED, patience=15, cross_encoder="given", candidates=CandidatesSpec(batch_size=12)
    ),
    "stalling": replace(SPEC, patience=3, learning_rate=0.3),
    "bfloat16": replace(SPEC, losses=ALIGNED, patience=15, cross_encoder="given", precision="bfloat16"),
}


class Forgetful(Student):
    """Skips a tenth of the words while it trains."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if self.training:
            input_ids = torch.where(torch.rand(input_ids.shape) < 0.1, 0, input_ids)
        return super().forward(input_ids, attention_mask)


def untrained(kind: type[Student] = Student) -> Student:
    """A very small student, the same each time."""
    torch.manual_seed(0)
    return kind(
        StudentShape(
            vocabulary=40,
            positions=16,
            hidden=16,
            intermediate=32,
            heads=2,
            layers=1,
            ndim=16,
            epsilon=1e-12,
            pooling="mean",
        )
    )


def examples(count: int, seed: int = 0) -> Examples:
    """Sequences whose target is decided by the words that they hold."""
    rng = np.random.default_rng(seed)
    table = np.random.default_rng(99).normal(size=(40, 16))
    tokens = [rng.integers(0, 40, rng.integers(1, 12)).tolist() for _ in range(count)]
    targets = np.stack([table[sequence].mean(0) for sequence in tokens]).astype(np.float32)
    return Examples(tokens, targets / np.linalg.norm(targets, axis=1, keepdims=True))


def candidates(count: int) -> CandidateExamples:
    """Queries with five of 30 documents; the first third has no label."""
    rng = np.random.default_rng(5)
    queries = examples(count, seed=2)
    documents = rng.normal(size=(30, 16)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    rows = np.stack([rng.choice(30, 5, replace=False) for _ in range(count)])
    cosines = np.einsum("qn,qcn->qc", queries.targets, documents[rows])
    rows, cosines = (np.take_along_axis(part, (-cosines).argsort(1), 1) for part in (rows, cosines))
    scores = (9 * cosines + rng.normal(size=cosines.shape)).astype(np.float32)
    return CandidateExamples(queries.tokens, rows, np.arange(count) >= count / 3, cosines, documents, scores)


TRAINING, HELD_OUT, CANDIDATES = examples(60), examples(16, seed=1), candidates(40)


def nothing(_: object) -> None:
    """Reports to nobody."""


@pytest.fixture(autouse=True)
def _checkpoints_at_every_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs here are over long before a minute is."""
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0)


def run(
    directory: Path,
    spec: TrainingSpec = SPEC,
    *,
    student: Student | None = None,
    training: Examples = TRAINING,
    candidates: CandidateExamples | None = CANDIDATES,
    steps: int | None = None,
    report: Callable[[CurvePoint], None] = nothing,
    advance: Callable[[int], None] = nothing,
) -> tuple[dict[str, bytes], list[CurvePoint]]:
    """Weights as bytes, and the curve without its times."""
    directory.mkdir(exist_ok=True)
    student = student or untrained()
    curve = train(
        student,
        training,
        HELD_OUT,
        spec=spec,
        budget=resolve(StudentSpec(steps=steps), spec),
        candidates=candidates,
        directory=directory,
        report=report,
        advance=advance,
    )
    return weights(student), [replace(point, seconds=0.0) for point in curve]


def weights(student: Student) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in student.state_dict().items()}


@pytest.fixture(scope="module", params=SPECS)
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recipe, and what a run of it that nobody disturbs ends with."""
    spec = SPECS[request.param]
    return spec, run(tmp_path_factory.mktemp("plain"), spec)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[CurvePoint]]:
    """The same of the first of them."""
    return run(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    "losses",
    [LossWeights(), LossWeights(cosine=0, l2=1), LossWeights(cosine=0, listwise=1), RANKED, ALIGNED],
)
def test_it_learns(tmp_path: Path, losses: LossWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss falls, and quality on what it has not seen rises, from the student's start to its end."""
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 60)
    _, curve = run(tmp_path, replace(SPEC, losses=losses, steps=80, cross_encoder="given"))
    assert curve[-1].loss < 0.85 * curve[1].loss
    assert best(curve).quality > curve[0].quality + 0.1
    assert [point.step for point in curve] == list(range(0, 81, 4))
    assert all((point.held_out_loss is None) != losses.needs_candidates for point in curve)


def test_bfloat16_learns_nearly_the_same(tmp_path: Path, plain: Any) -> None:
    """Other bits, the same curve to a hundredth of the cosine."""
    after, curve = run(tmp_path, replace(SPEC, precision="bfloat16"))
    assert after != plain[0]
    assert after.keys() == plain[0].keys()
    assert curve[-1].held_out_cosine == pytest.approx(plain[1][-1].held_out_cosine, abs=0.01)
    assert curve[0].held_out_cosine == plain[1][0].held_out_cosine, "measured in float32"


@pytest.mark.parametrize("steps", [1, 7, 20, 24, 50])
def test_the_curve_ends_at_the_last_step(tmp_path: Path, steps: int) -> None:
    """However the points divide the steps; the first is before any."""
    _, curve = run(tmp_path, replace(SPEC, steps=steps))
    assert len(curve) == min(steps, trainer.CURVE_POINTS) + 1
    assert (curve[0].step, curve[-1].step) == (0, steps)


def test_no_steps(tmp_path: Path) -> None:
    """The student stays as it was and is measured once; the loss is that of the first batch."""
    student = untrained()
    before = weights(student)
    after, (point,) = run(tmp_path, student=student, steps=0)
    assert after == before
    assert point.step == 0
    assert point.held_out_cosine == similarity(student, HELD_OUT)
    assert 0 < point.loss < 2


@pytest.mark.parametrize("stop", [1, 9, 23])
def test_interrupted_while_stepping(tmp_path: Path, uninterrupted: Any, stop: int) -> None:
    """Ctrl-C after any step; the second run ends with the same bits."""
    spec, expected = uninterrupted
    steps = []

    def advance(count: int) -> None:
        steps.extend([1] * count)
        if len(steps) == stop:
            raise KeyboardInterrupt

    if stop <= expected[1][-1].step:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, spec, advance=advance)
    assert run(tmp_path, spec) == expected


def test_interrupted_at_every_point_of_the_curve(tmp_path: Path, uninterrupted: Any) -> None:
    """One more point each run, until none is left."""
    spec, expected = uninterrupted

    def interrupt(_: CurvePoint) -> None:
        raise KeyboardInterrupt

    for _ in expected[1]:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, spec, report=interrupt)
    assert run(tmp_path, spec, report=interrupt) == expected


def test_interrupted_between_checkpoints(tmp_path: Path, plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came after the last one is done again, and told again."""
    points: list[int] = []

    def report(point: CurvePoint) -> None:
        points.append(point.step)
        monkeypatch.setattr(trainer, "SAVE_SECONDS", 1000)
        if point.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, report=report)
    assert run(tmp_path, report=lambda point: points.append(point.step)) == plain
    assert points[:8] == [0, 2, 3, 4, 5, 6, 2, 3]


def test_students_that_draw_at_random(tmp_path: Path) -> None:
    """Dropped words are those of the step, whatever was drawn before."""
    expected = run(tmp_path / "plain", student=untrained(Forgetful))

    def interrupt(point: CurvePoint) -> None:
        if point.step >= 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "again", student=untrained(Forgetful), report=interrupt)
    torch.rand(3)
    assert run(tmp_path / "again", student=untrained(Forgetful)) == expected
    assert run(tmp_path / "other") != expected


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    """Steps that are far too long spoil it; what it was before that comes back."""
    student = untrained()
    _, curve = run(tmp_path, replace(SPEC, learning_rate=0.1, steps=40), student=student)
    assert curve[-1].held_out_cosine < best(curve).held_out_cosine
    assert similarity(student, HELD_OUT) == best(curve).held_out_cosine


def test_patience(tmp_path: Path) -> None:
    """It stops when so many points in a row brought nothing better."""
    spec = SPECS["stalling"]
    steps: list[int] = []
    _, curve = run(tmp_path, spec, advance=steps.append)
    assert len(curve) - 1 - curve.index(best(curve)) == 3
    assert sum(steps) == curve[-1].step < spec.steps
    steps.clear()
    assert run(tmp_path, spec, advance=steps.append)[1] == curve
    assert steps == [curve[-1].step]


def test_candidates_need_no_texts(tmp_path: Path) -> None:
    """Where no vector is aligned, and the other way round."""
    run(tmp_path / "ranked", SPECS["gradcache"], training=Examples([], np.empty((0, 16), np.float32)))
    run(tmp_path / "aligned", candidates=None)


def test_killed(tmp_path: Path, plain: Any) -> None:
    """kill -9 in the middle of it, from a process of its own."""
    script = f"""
        import importlib.util, os, signal
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("story", {str(Path(__file__))!r})
        story = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(story)
        story.trainer.SAVE_SECONDS = 0
        def report(point):
            if point.step >= 12:
                os.kill(os.getpid(), signal.SIGKILL)
        story.run(Path({str(tmp_path)!r}), report=report)
    """
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    first_steps: list[int] = []
    assert run(tmp_path, advance=first_steps.append) == plain
    assert first_steps[0] >= 12


def test_a_finished_run_is_not_repeated(tmp_path: Path, plain: Any) -> None:
    """All its steps are reported at once."""
    run(tmp_path)
    steps: list[int] = []
    assert run(tmp_path, advance=steps.append) == plain
    assert steps == [SPEC.steps]


def test_seeds(tmp_path: Path, plain: Any) -> None:
    """Another seed, other batches."""
    assert run(tmp_path, replace(SPEC, seed=1))[0] != plain[0]


def test_the_word_table_stays_when_frozen(tmp_path: Path, plain: Any) -> None:
    """Without train_embeddings."""
    before = weights(untrained())["words.weight"]
    frozen = replace(SPEC, train_embeddings=False)
    after = run(tmp_path, frozen)
    assert after[0]["words.weight"] == before
    assert plain[0]["words.weight"] != before
    assert run(tmp_path, frozen) == after


def test_the_time_budget_stops_it(tmp_path: Path) -> None:
    """A tiny number of minutes ends a run of a million steps, with its last step measured and kept."""
    spec = replace(SPEC, steps=1_000_000, minutes=0.002)
    _, curve = run(tmp_path, spec)
    steps: list[int] = []
    run(tmp_path, spec, advance=steps.append)
    assert steps == [curve[-1].step]


def test_time_also_sets_the_checkpoints(tmp_path: Path) -> None:
    """With minutes the work to lose is a share of them, however many steps were allowed."""
    _, curve = run(tmp_path, replace(SPEC, steps=1_000_000, minutes=0.01))
    assert len(curve) > 3


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"text"])
def test_a_damaged_checkpoint(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """It cannot come of an interruption, so the disk is in doubt: an error says which file to delete."""
    run(tmp_path)
    path = tmp_path / trainer.CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BuildError, match=r"checkpoint\.pt: damaged .*; delete it and run again"):
        run(tmp_path)
    path.unlink()
    assert run(tmp_path)[1][-1].step == SPEC.steps


def test_an_unfinished_checkpoint_is_ignored(tmp_path: Path, plain: Any) -> None:
    """What a kill while writing leaves under its temporary name."""
    (tmp_path / f"{trainer.CHECKPOINT}.part").write_bytes(b"half")
    assert run(tmp_path) == plain


def test_a_target_that_is_no_number(tmp_path: Path) -> None:
    """Found before the first step, and nothing of it is kept."""
    targets = np.full((60, 16), np.nan, np.float32)
    with pytest.raises(BuildError, match=r"the loss is nan before the first step; the teacher's vectors"):
        run(tmp_path, training=Examples(TRAINING.tokens, targets))
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    """Training stops at once, with advice."""
    with pytest.raises(BuildError, match=r"the loss is nan at step \d+; lower training\.learning_rate"):
        run(tmp_path, replace(SPEC, learning_rate=1e38))


def test_batches_larger_than_the_corpus(tmp_path: Path) -> None:
    """All texts are one batch then."""
    _, curve = run(tmp_path, replace(SPEC, batch_size=1000))
    assert curve[-1].step == SPEC.steps


def test_schedule() -> None:
    """Up to 1 over the first tenth, down to 0 at the end, never negative."""
    values = [schedule(step / 1000) for step in range(1001)]
    assert 0 < values[0] < 0.02
    assert max(values) == pytest.approx(1, abs=1e-3)
    assert values.index(max(values)) == 100
    assert values[-1] == pytest.approx(0, abs=1e-12)
    assert min(values) >= 0
