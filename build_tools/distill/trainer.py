"""Trains a student on the teacher's vectors of texts, on queries with candidate documents, or on both.

AdamW over batches of similar length, the learning rate warmed up and then lowered along a cosine; the best
weights by held-out quality are kept. Everything random derives from the seed and the step, so a run that
was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from build_tools.distill import checkpoint
from build_tools.distill.batches import (
    AlignmentBatch,
    CandidateBatch,
    CandidateExamples,
    Examples,
    alignment_batches,
    candidate_batches,
    held_out_batches,
    pad,
)
from build_tools.distill.budget import Budget, resolve
from build_tools.distill.checkpoint import CHECKPOINT
from build_tools.distill.curve import CurvePoint, best, stalled
from build_tools.distill.encoder import QueryEncoder, encode_tokens, similarity
from build_tools.distill.losses import Objective
from build_tools.distill.sources import Sources, select
from build_tools.errors import BuildError
from build_tools.precision import mixed
from build_tools.recipe_training import TrainingSpec

__all__ = [
    "CHECKPOINT",
    "Budget",
    "CandidateExamples",
    "CurvePoint",
    "Examples",
    "best",
    "encode_tokens",
    "pad",
    "resolve",
    "schedule",
    "similarity",
    "train",
]

CURVE_POINTS = 20
WARM_UP = 0.1
"""Share of the budget in which the learning rate rises."""

SAVE_SECONDS = 60.0
"""Training time between checkpoints: one of a static encoder takes as long as 20 of its steps."""


def train(
    student: QueryEncoder,
    training: Examples,
    held_out: Examples,
    *,
    spec: TrainingSpec,
    budget: Budget,
    directory: Path,
    report: Callable[[CurvePoint], None],
    advance: Callable[[int], None],
    candidates: CandidateExamples | None = None,
) -> list[CurvePoint]:
    """Trains `student` in place and returns its learning curve; the weights are those of its `best` point.

    Progress is kept in `directory`: a second call after an interruption goes on from the last checkpoint.

    Args:
        training: texts for cosine and l2; not read where the recipe leaves both out.
        candidates: queries for all other losses; not read where the recipe leaves those out.
        report: told each new point of the curve, the first before any step.
        advance: told how many more steps are done; first those of earlier runs.

    Raises:
        BuildError: a loss has nothing to learn from or is no longer a number, or the checkpoint cannot be
            read.
    """
    sources = select(training, held_out, candidates, spec)
    trainer = _Trainer(student, sources, spec=spec, budget=budget, directory=directory)
    advance(trainer.run.step)
    if not trainer.run.curve:
        report(trainer.measure(trainer.first_loss()))
    while not trainer.finished:
        due = trainer.points_due
        trainer.step()
        advance(1)
        if trainer.points_due > due:
            report(trainer.measure(trainer.mean_loss()))
    checkpoint.restore(student, trainer.run.best)
    return trainer.run.curve


def schedule(progress: float) -> float:
    """The learning rate's factor, 0 to 1, when `progress` of the budget (0 to 1) is spent."""
    if progress < WARM_UP:
        return (progress + 0.001) / (WARM_UP + 0.001)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


@dataclass(frozen=True, slots=True)
class _Batches:
    """The batches of each step to come."""

    alignment: Iterator[AlignmentBatch] | None
    candidates: Iterator[CandidateBatch] | None

    @classmethod
    def of(cls, sources: Sources, spec: TrainingSpec, budget: Budget, *, start: int) -> _Batches:
        """Those from step `start` on."""
        texts, queries, size = sources.texts, sources.candidates, spec.candidates.batch_size
        return cls(
            None
            if texts is None
            else alignment_batches(texts, budget.batch_size, seed=spec.seed, start=start),
            None if queries is None else candidate_batches(queries, size, seed=spec.seed, start=start),
        )

    def losses(self, objective: Objective) -> Iterator[Tensor]:
        """The losses of the next step, one after the other: one graph at a time is in memory."""
        if self.alignment is not None:
            yield objective.alignment(next(self.alignment))
        if self.candidates is not None:
            yield objective.candidates(next(self.candidates))


class _Trainer:
    """One run: student, optimizer, and where they stand."""

    def __init__(
        self,
        student: QueryEncoder,
        sources: Sources,
        *,
        spec: TrainingSpec,
        budget: Budget,
        directory: Path,
    ) -> None:
        self._student, self._sources = student, sources
        self._spec, self._budget, self._directory = spec, budget, directory
        parameters = student.parameter_groups(budget.learning_rate, spec.train_embeddings)
        # Fused: a third of the time, which for a large table is most of the step's.
        self._optimizer = torch.optim.AdamW(parameters, weight_decay=0.01, fused=True)
        groups = self._optimizer.param_groups
        self._peaks = [float(group["lr"]) for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._objective = Objective(
            mixed(student) if spec.precision == "bfloat16" else student,
            spec.losses,
            temperature=spec.candidates.temperature,
            mini_batch_size=budget.batch_size,
        )
        self.run = checkpoint.resume(directory, student, self._optimizer)
        self._saved = self.run.seconds
        self._batches = _Batches.of(sources, spec, budget, start=self.run.step)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent, or patience is at an end."""
        return self._progress >= 1 or stalled(self.run.curve, self._spec.patience)

    @property
    def points_due(self) -> int:
        """How many points of the curve the spent budget is worth, the first, before any step, not counted."""
        by_steps = CURVE_POINTS * self.run.step // max(1, self._budget.steps)
        return max(by_steps, int(CURVE_POINTS * self._time_share))

    @property
    def _progress(self) -> float:
        """The spent share of the budget, steps or minutes, whichever is further."""
        return max(self.run.step / self._budget.steps, self._time_share) if self._budget.steps else 1.0

    @property
    def _time_share(self) -> float:
        return 0.0 if self._spec.minutes is None else self.run.seconds / (self._spec.minutes * 60)

    def step(self) -> None:
        """One update of the weights."""
        started = time.monotonic()
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * schedule(self._progress)
        torch.manual_seed(self._spec.seed << 32 | self.run.step)  # for students that drop words
        self._student.train()
        self._optimizer.zero_grad()
        total = 0.0
        for loss in self._batches.losses(self._objective):
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        self.run.step += 1
        if not math.isfinite(total):
            raise BuildError(
                f"training: the loss is {total} at step {self.run.step}; lower training.learning_rate"
            )
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.run.seconds += time.monotonic() - started
        self.run.loss_sum += total
        self.run.loss_count += 1

    def first_loss(self) -> float:
        """Loss of the first batch, before any step."""
        batches = _Batches.of(self._sources, self._spec, self._budget, start=0)
        self._student.train(False)
        with torch.no_grad():
            total = sum(loss.item() for loss in batches.losses(self._objective))
        if not math.isfinite(total):
            raise BuildError(
                f"training: the loss is {total} before the first step; the teacher's vectors or the base "
                "encoder's weights hold a value that is not a number"
            )
        return total

    def mean_loss(self) -> float:
        """Mean training loss since it was last asked for."""
        run = self.run
        mean = run.loss_sum / run.loss_count
        run.loss_sum, run.loss_count = 0.0, 0
        return mean

    def measure(self, loss: float) -> CurvePoint:
        """Adds a point to the curve; keeps the weights if it is the best, and a checkpoint if one is due."""
        run = self.run
        cosine = similarity(self._student, self._sources.held_out)
        point = CurvePoint(run.step, loss, cosine, run.seconds, self._held_out_loss(cosine))
        run.curve.append(point)
        if best(run.curve) is point:
            run.best = {name: tensor.clone() for name, tensor in checkpoint.trained(self._student).items()}
        if self.finished or run.seconds - self._saved >= SAVE_SECONDS:
            checkpoint.save(self._directory, self._student, self._optimizer, run)
            self._saved = run.seconds
        return point

    def _held_out_loss(self, cosine: float) -> float | None:
        """The whole objective on what is held out; None where the cosine says it all."""
        queries = self._sources.held_out_candidates
        if queries is None:
            return None
        total = 0.0
        self._student.train(False)
        with torch.no_grad():
            for batch in held_out_batches(queries, self._spec.candidates.batch_size):
                total += self._objective.candidates(batch).item() * len(batch.ids)
        weights = self._spec.losses
        aligned = weights.cosine * (1 - cosine) + weights.l2 * math.sqrt(max(0.0, 2 - 2 * cosine))
        return total / len(queries.tokens) + aligned
