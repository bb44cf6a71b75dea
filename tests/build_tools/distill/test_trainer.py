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
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.distill import trainer
from build_tools.distill.student import Student, StudentShape
from build_tools.distill.trainer import CurvePoint, Examples, schedule, train
from build_tools.errors import BuildError
from build_tools.recipe import TrainingSpec

SPEC = TrainingSpec(steps=24, batch_size=8, learning_rate=0.003, train_embeddings=True, held_out=16)


def untrained() -> Student:
    """A very small student, the same each time."""
    torch.manual_seed(0)
    return Student(
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


TRAINING, HELD_OUT = examples(60), examples(16, seed=1)


def nothing(_: object) -> None:
    """Reports to nobody."""


def run(
    directory: Path,
    spec: TrainingSpec = SPEC,
    *,
    training: Examples = TRAINING,
    report: Callable[[CurvePoint], None] = nothing,
    advance: Callable[[int], None] = nothing,
) -> tuple[dict[str, bytes], list[CurvePoint]]:
    """Weights as bytes, and the curve without its times."""
    student = untrained()
    curve = train(student, training, HELD_OUT, spec=spec, directory=directory, report=report, advance=advance)
    weights = {name: tensor.numpy().tobytes() for name, tensor in student.state_dict().items()}
    return weights, [replace(point, seconds=0.0) for point in curve]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[CurvePoint]]:
    """What a run that nobody disturbs ends with."""
    return run(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("loss", ["cosine", "l2"])
def test_it_learns(tmp_path: Path, loss: Any) -> None:
    """Loss falls, and the cosine on text it has not seen rises."""
    _, curve = run(tmp_path, replace(SPEC, loss=loss, steps=120))
    assert curve[-1].loss < 0.8 * curve[0].loss
    assert curve[-1].held_out_cosine > curve[0].held_out_cosine + 0.1
    assert len(curve) == trainer.CURVE_POINTS
    assert curve[-1].step == 120


@pytest.mark.parametrize("steps", [1, 7, 20, 24, 50])
def test_the_curve_ends_at_the_last_step(tmp_path: Path, steps: int) -> None:
    """However the points divide the steps."""
    _, curve = run(tmp_path, replace(SPEC, steps=steps))
    assert len(curve) == min(steps, trainer.CURVE_POINTS)
    assert curve[-1].step == steps


@pytest.mark.parametrize("stop", [1, 2, 9, 23])
def test_interrupted_while_stepping(tmp_path: Path, uninterrupted: Any, stop: int) -> None:
    """Ctrl-C after any step; the second run ends with the same bits."""
    steps = []

    def advance(count: int) -> None:
        steps.extend([1] * count)
        if len(steps) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, advance=advance)
    assert run(tmp_path) == uninterrupted


def test_interrupted_at_every_point_of_the_curve(tmp_path: Path, uninterrupted: Any) -> None:
    """One more point each run, until none is left."""

    def interrupt(_: CurvePoint) -> None:
        raise KeyboardInterrupt

    for _ in uninterrupted[1]:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, report=interrupt)
    assert run(tmp_path, report=interrupt) == uninterrupted


def test_killed(tmp_path: Path, uninterrupted: Any) -> None:
    """kill -9 in the middle of it, from a process of its own."""
    script = f"""
        import importlib.util, os, signal
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("story", {str(Path(__file__))!r})
        story = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(story)
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
    assert run(tmp_path, advance=first_steps.append) == uninterrupted
    assert first_steps[0] >= 12


def test_a_finished_run_is_not_repeated(tmp_path: Path, uninterrupted: Any) -> None:
    """All its steps are reported at once."""
    run(tmp_path)
    steps: list[int] = []
    assert run(tmp_path, advance=steps.append) == uninterrupted
    assert steps == [SPEC.steps]


def test_seeds(tmp_path: Path, uninterrupted: Any) -> None:
    """Another seed, other batches."""
    assert run(tmp_path, replace(SPEC, seed=1))[0] != uninterrupted[0]


def test_the_word_table_stays_when_frozen(tmp_path: Path, uninterrupted: Any) -> None:
    """Without train_embeddings."""
    before = untrained().state_dict()["words.weight"].numpy().tobytes()
    assert run(tmp_path, replace(SPEC, train_embeddings=False))[0]["words.weight"] == before
    assert uninterrupted[0]["words.weight"] != before


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


def test_an_unfinished_checkpoint_is_ignored(tmp_path: Path, uninterrupted: Any) -> None:
    """What a kill while writing leaves under its temporary name."""
    (tmp_path / f"{trainer.CHECKPOINT}.part").write_bytes(b"half")
    assert run(tmp_path) == uninterrupted


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    """Training stops at once, with advice, and keeps nothing of it."""
    targets = np.full((60, 16), np.nan, np.float32)
    with pytest.raises(BuildError, match=r"the loss is nan at step 1; lower training\.learning_rate"):
        run(tmp_path, training=Examples(TRAINING.tokens, targets))
    assert list(tmp_path.iterdir()) == []


def test_batches_larger_than_the_corpus(tmp_path: Path) -> None:
    """All texts are one batch then."""
    _, curve = run(tmp_path, replace(SPEC, batch_size=1000))
    assert curve[-1].step == SPEC.steps


@given(count=st.integers(1, 300), size=st.integers(1, 40), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_an_epoch_holds_each_text_at_most_once(count: int, size: int, seed: int) -> None:
    """All batches are full, and as many as fit."""
    size = min(size, count)
    batches = trainer._epoch(
        Examples([[1] * (i % 7 + 1) for i in range(count)], np.empty((0, 1), np.float32)),
        size,
        np.random.default_rng(seed),
    )
    rows = np.concatenate(batches)
    assert [len(batch) for batch in batches] == [size] * (count // size)
    assert len(set(rows.tolist())) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < count


def test_schedule() -> None:
    """Up to 1 over the first tenth, down to 0 at the end, never negative."""
    values = [schedule(step / 1000) for step in range(1001)]
    assert 0 < values[0] < 0.02
    assert max(values) == pytest.approx(1, abs=1e-3)
    assert values.index(max(values)) == 100
    assert values[-1] == pytest.approx(0, abs=1e-12)
    assert min(values) >= 0
