"""Aligns a student to the teacher's vectors of the training texts.

AdamW over batches of similar length, the learning rate warmed up and then lowered along a cosine.
Everything random derives from the seed and the step, so a run that was killed and resumed ends with the
same weights as one that was not.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from build_tools.distill.student import Student
from build_tools.errors import BuildError
from build_tools.recipe import TrainingSpec
from build_tools.workspace import write_atomically

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.jsonl"
CURVE_POINTS = 20
POOLED_BATCHES = 32
"""Batches whose texts are sorted by length together: little padding, still well mixed."""

WARM_UP = 0.1
"""Share of the budget in which the learning rate rises."""

TokenIds = Sequence[int]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One measurement of the learning curve.

    Attributes:
        loss: mean training loss since the last point.
        held_out_cosine: mean cosine to the teacher on text that is not trained on.
        seconds: training time so far, over all runs.
    """

    step: int
    loss: float
    held_out_cosine: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Token ids, one sequence a text, and the teacher's unit vectors (n, ndim)."""

    tokens: Sequence[TokenIds]
    targets: NDArray[np.float32]


@dataclass(slots=True)
class _Run:
    """What a checkpoint holds besides the weights."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0

    def add(self, loss: float, seconds: float) -> None:
        """Counts one step."""
        self.step += 1
        self.seconds += seconds
        self.loss_sum += loss
        self.loss_count += 1
        if not math.isfinite(loss):
            raise BuildError(
                f"training: the loss is {loss} at step {self.step}; lower training.learning_rate"
            )


def train(
    student: Student,
    training: Examples,
    held_out: Examples,
    *,
    spec: TrainingSpec,
    directory: Path,
    report: Callable[[CurvePoint], None],
    advance: Callable[[int], None],
) -> list[CurvePoint]:
    """Trains `student` in place and returns its learning curve.

    Progress is kept in `directory`: a second call after an interruption goes on from the last curve point.

    Args:
        report: told each new point of the curve.
        advance: told how many more steps are done; first those of earlier runs.

    Raises:
        BuildError: the loss is no longer a number, or the checkpoint cannot be read.
    """
    student.words.weight.requires_grad_(spec.train_embeddings)
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=0.01)
    run = _resume(directory, student, optimizer)
    curve = _read_curve(directory, run.step)
    advance(run.step)
    batches = _batches(training, spec, start=run.step)
    while (progress := _progress(run, spec)) < 1:
        due = _points_due(run, spec)
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * schedule(progress)
        run.add(_step(student, next(batches), spec, optimizer), time.monotonic() - started)
        advance(1)
        if _points_due(run, spec) > due:
            point = _measure(student, held_out, run)
            curve.append(point)
            _save(directory, student, optimizer, run, curve)
            report(point)
    return curve


def schedule(progress: float) -> float:
    """The learning rate's factor, 0 to 1, when `progress` of the budget (0 to 1) is spent."""
    if progress < WARM_UP:
        return (progress + 0.001) / (WARM_UP + 0.001)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def similarity(student: Student, examples: Examples) -> float:
    """Mean cosine of the student's vectors to the targets."""
    return float((encode_tokens(student, examples.tokens) * examples.targets).sum(1).mean())


def encode_tokens(student: Student, tokens: Sequence[TokenIds]) -> NDArray[np.float32]:
    """Unit vectors (n, ndim) by the PyTorch student, in the order given."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    vectors = np.empty((len(tokens), student.shape.ndim), np.float32)
    student.eval()
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            vectors[rows] = student(*pad([tokens[row] for row in rows])).numpy()
    return vectors


def pad(sequences: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Token ids and mask, int64 (n, longest), zero where a sequence has ended."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.zeros((len(sequences), longest), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(list(sequence), dtype=torch.int64)
        mask[row, : len(sequence)] = 1
    return ids, mask


def _batches(
    examples: Examples, spec: TrainingSpec, *, start: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches from step `start` on, without end."""
    size = min(spec.batch_size, len(examples.tokens))
    per_epoch = len(examples.tokens) // size
    epoch, skip = divmod(start, per_epoch)
    while True:
        for rows in _epoch(examples, size, np.random.default_rng((spec.seed, epoch)))[skip:]:
            ids, mask = pad([examples.tokens[row] for row in rows])
            yield ids, mask, torch.from_numpy(np.ascontiguousarray(examples.targets[rows]))
        epoch, skip = epoch + 1, 0


def _epoch(examples: Examples, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Every full batch of one epoch: shuffled, then sorted by length within pools of batches."""
    order = rng.permutation(len(examples.tokens))
    lengths = np.array([len(examples.tokens[row]) for row in order])
    batches: list[NDArray[np.int64]] = []
    for first in range(0, len(order), size * POOLED_BATCHES):
        pool = order[first : first + size * POOLED_BATCHES]
        pool = pool[np.argsort(lengths[first : first + len(pool)], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool) - size + 1, size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _step(
    student: Student,
    batch: tuple[Tensor, Tensor, Tensor],
    spec: TrainingSpec,
    optimizer: torch.optim.Optimizer,
) -> float:
    student.train()
    ids, mask, targets = batch
    loss = _loss(student(ids, mask), targets, spec)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def _loss(vectors: Tensor, targets: Tensor, spec: TrainingSpec) -> Tensor:
    if spec.loss == "l2":
        distances: Tensor = torch.linalg.vector_norm(vectors - targets, dim=1)
        return distances.mean()
    return (1 - (vectors * targets).sum(1)).mean()


def _progress(run: _Run, spec: TrainingSpec) -> float:
    """The spent share of the budget, steps or minutes, whichever is further."""
    return max(run.step / spec.steps, _time_share(run, spec))


def _points_due(run: _Run, spec: TrainingSpec) -> int:
    """How many points of the curve the spent budget is worth."""
    return max(CURVE_POINTS * run.step // spec.steps, int(CURVE_POINTS * _time_share(run, spec)))


def _time_share(run: _Run, spec: TrainingSpec) -> float:
    return 0.0 if spec.minutes is None else run.seconds / (spec.minutes * 60)


def _measure(student: Student, held_out: Examples, run: _Run) -> CurvePoint:
    loss = run.loss_sum / run.loss_count
    run.loss_sum, run.loss_count = 0.0, 0
    return CurvePoint(run.step, loss, similarity(student, held_out), run.seconds)


def _save(
    directory: Path,
    student: Student,
    optimizer: torch.optim.Optimizer,
    run: _Run,
    curve: list[CurvePoint],
) -> None:
    state = {
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "run": asdict(run),
    }
    lines = "".join(json.dumps(asdict(point)) + "\n" for point in curve).encode()

    data = io.BytesIO()  # torch.save into a file turns a full disk into an error that does not say so
    torch.save(state, data)
    write_atomically(directory / CURVE, lambda file: file.write(lines))
    write_atomically(directory / CHECKPOINT, lambda file: file.write(data.getbuffer()))


def _resume(
    directory: Path,
    student: Student,
    optimizer: torch.optim.Optimizer,
) -> _Run:
    path = directory / CHECKPOINT
    if not path.exists():
        return _Run()
    try:
        state = torch.load(path, weights_only=True)
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        return _Run(**state["run"])
    except Exception as error:  # torch raises what its unpickler and its zip reader happen to
        raise BuildError(
            f"{path}: damaged ({type(error).__name__}); delete it and run again to train this student anew"
        ) from None


def _read_curve(directory: Path, last_step: int) -> list[CurvePoint]:
    path = directory / CURVE
    if not path.exists():
        return []
    points = [CurvePoint(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return [point for point in points if point.step <= last_step]
