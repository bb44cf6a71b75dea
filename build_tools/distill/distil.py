"""One student, from the recipe's words to a trained module: make, tokenize, train, keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from build_tools.distill import initialise, probe, static, student, vocabulary
from build_tools.distill.base import Base
from build_tools.distill.budget import Budget, resolve
from build_tools.distill.checkpoint import CHECKPOINT
from build_tools.distill.curve import CurvePoint
from build_tools.distill.lessons import Candidates, Lesson
from build_tools.distill.static import StaticShape, StaticStudent
from build_tools.distill.student import Student, StudentShape
from build_tools.distill.tokens import plain_json, token_vectors
from build_tools.distill.trainer import CandidateExamples, Examples, best, train
from build_tools.distill.vocabulary import Pruned
from build_tools.errors import ModelError
from build_tools.recipe_training import StudentSpec, TrainingSpec
from build_tools.teacher import Teacher
from build_tools.workspace import Stage, write_atomically
from edge_runtime.tokenizer import Tokenizer

WEIGHTS = "student.safetensors"
TOKENIZER = "tokenizer.json"
PROBE = "probe"
MEASURED_TOKENS = 16

Report = Callable[[CurvePoint], None]
Advance = Callable[[int], None]


def _silent(_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Course:
    """What every student of a build learns from.

    Attributes:
        documents: unit vectors (passages, ndim); mapped.
        contents: gives the passages' texts, as often as it is called.
    """

    teacher: Teacher
    training: Lesson
    held_out: Lesson
    candidates: Candidates | None
    documents: NDArray[np.float32]
    contents: Callable[[], Iterable[str]]
    spec: TrainingSpec


@dataclass(frozen=True, slots=True)
class Distilled:
    """A trained student in its stage's directory.

    Attributes:
        layers: those that were kept of the base; none for a static encoder.
        pruned: what a smaller vocabulary saved and cost.
        macs: multiply-adds of a query of 16 tokens.
    """

    student: Student | StaticStudent
    tokenizer: Path
    curve: tuple[CurvePoint, ...]
    layers: tuple[int, ...]
    pruned: Pruned | None
    macs: int


def check(teacher: Teacher, spec: StudentSpec) -> None:
    """Whether the student can be made at all: to fail now rather than in an hour.

    Raises:
        ModelError: the base encoder cannot be loaded or cut, or has too few positions.
    """
    base = Base.load(teacher.tower, spec.base)
    plain_json(base.tokenizer)
    if spec.kind == "layers":
        for layers in _choices(base, spec):
            _cut(teacher, base, spec, layers, seed=0)


def distil(course: Course, spec: StudentSpec, stage: Stage, *, report: Report, advance: Advance) -> Distilled:
    """Trains one student, or goes on with one that an earlier run began.

    Raises:
        ModelError: the base encoder cannot be loaded or cut.
        BuildError: training cannot go on.
    """
    base = Base.load(course.teacher.tower, spec.base)
    if spec.kind == "static":
        made = _make_static(course, spec, base, stage)
    else:
        made = _make_layers(course, spec, base, stage)
    budget = resolve(spec, course.spec)
    curve = _train(made.module, made.reading, course.spec, budget, stage.directory, report, advance)
    write_atomically(stage.directory / WEIGHTS, lambda file: file.write(save(made.module.state_dict())))
    stage.finish(
        {
            "shape": asdict(made.module.shape),
            "curve": [asdict(point) for point in curve],
            "layers": made.layers,
            "pruned": None if made.pruned is None else asdict(made.pruned),
        }
    )
    (stage.directory / CHECKPOINT).unlink(missing_ok=True)  # three times the weights, and of no more use
    return load(stage)


def load(stage: Stage) -> Distilled:
    """The student that a finished stage holds."""
    result = stage.result
    module = _rebuilt(result["shape"])
    module.load_state_dict(load_file(stage.directory / WEIGHTS))
    return Distilled(
        student=module.eval(),
        tokenizer=stage.directory / TOKENIZER,
        curve=tuple(CurvePoint(**point) for point in result["curve"]),
        layers=tuple(result["layers"]),
        pruned=None if result["pruned"] is None else Pruned(**result["pruned"]),
        macs=_macs(module),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """The course as one student's tokenizer reads it."""

    training: Examples
    held_out: Examples
    candidates: CandidateExamples | None

    @classmethod
    def of(cls, course: Course, reader: Tokenizer) -> _Reading:
        return cls(
            _examples(course.training, reader),
            _examples(course.held_out, reader),
            _candidate_examples(course, reader),
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """An untrained student, ready to learn."""

    module: Student | StaticStudent
    reading: _Reading
    layers: tuple[int, ...] = ()
    pruned: Pruned | None = None


def _make_static(course: Course, spec: StudentSpec, base: Base, stage: Stage) -> _Made:
    reading = _Reading.of(course, _save_tokenizer(plain_json(base.tokenizer), spec, stage))
    vectors = token_vectors(base.tokenizer, course.teacher, stage.directory)
    keys = static.frequent_pairs(reading.training.tokens, vocabulary=len(vectors), count=spec.bigrams)
    return _Made(static.untrained(vectors, keys), reading)


def _make_layers(course: Course, spec: StudentSpec, base: Base, stage: Stage) -> _Made:
    text, smaller, pruned = plain_json(base.tokenizer), None, None
    if spec.prune_vocabulary:
        smaller = vocabulary.prune(text, chain(course.training.texts, course.contents()))
        hidden = base.model.config.hidden_size
        pruned = vocabulary.measure(text, smaller, course.held_out.texts, hidden=hidden)
        text = smaller.tokenizer
    reading = _Reading.of(course, _save_tokenizer(text, spec, stage))

    def make(layers: tuple[int, ...]) -> Student:
        module = _cut(course.teacher, base, spec, layers, seed=course.spec.seed)
        if smaller is not None:
            module = vocabulary.slice_words(module, smaller.kept)
        _start_projection(module, base, course.teacher, reading.training)
        return module

    def train_short(layers: tuple[int, ...]) -> float:
        directory = stage.directory / f"{PROBE}-{'-'.join(map(str, layers))}"
        directory.mkdir(exist_ok=True)
        full = resolve(spec, course.spec)
        budget = dataclasses.replace(full, steps=probe.short_steps(full.steps))
        curve = _train(make(layers), reading, course.spec, budget, directory)
        (directory / CHECKPOINT).unlink(missing_ok=True)
        return best(curve).held_out_cosine

    choices = _choices(base, spec)
    layers = choices[0]
    if len(choices) > 1:
        layers = probe.probe(choices, stage.directory, train_short=train_short).layers
    return _Made(make(layers), reading, layers, pruned)


def _choices(base: Base, spec: StudentSpec) -> tuple[tuple[int, ...], ...]:
    """The layers to keep; several where they are to be probed."""
    if spec.probe is not None:
        return probe.choices(base.layers, spec.probe)
    return (tuple(range(base.layers)) if spec.layers is None else spec.layers,)


def _cut(teacher: Teacher, base: Base, spec: StudentSpec, layers: tuple[int, ...], *, seed: int) -> Student:
    module = student.cut(
        base.model, layers, teacher.ndim, base.pooling, every_layer=not base.aligned, seed=seed
    )
    if spec.max_tokens > module.shape.positions:
        raise ModelError(
            f"encoders {spec.id}: max_tokens {spec.max_tokens}; the base encoder has "
            f"{module.shape.positions} positions"
        )
    return module


def _start_projection(module: Student, base: Base, teacher: Teacher, training: Examples) -> None:
    """A projection starts as the teacher's reduction where that fits, else as what explains its vectors."""
    if base.aligned and teacher.reduction is not None and module.projection is not None:
        with torch.no_grad():
            module.projection.weight.copy_(torch.from_numpy(teacher.reduction.matrix.T.copy()))
            module.projection.bias.zero_()
    else:
        initialise.fit_projection(module, training.tokens, training.targets)


def _train(
    module: Student | StaticStudent,
    reading: _Reading,
    spec: TrainingSpec,
    budget: Budget,
    directory: Path,
    report: Report = _silent,
    advance: Advance = _silent,
) -> list[CurvePoint]:
    return train(
        module,
        reading.training,
        reading.held_out,
        spec=spec,
        budget=budget,
        directory=directory,
        report=report,
        advance=advance,
        candidates=reading.candidates,
    )


def _examples(lesson: Lesson, reader: Tokenizer) -> Examples:
    return Examples([reader.encode(text) for text in lesson.texts], lesson.targets)


def _candidate_examples(course: Course, reader: Tokenizer) -> CandidateExamples | None:
    found = course.candidates
    if found is None:
        return None
    return CandidateExamples(
        tokens=[reader.encode(text) for text in found.texts],
        rows=found.rows,
        labelled=found.labelled,
        cosines=found.cosines,
        documents=course.documents,
        scores=found.scores,
    )


def _save_tokenizer(text: str, spec: StudentSpec, stage: Stage) -> Tokenizer:
    path = stage.directory / TOKENIZER
    path.write_text(text, "utf-8")
    return Tokenizer.load(path, max_tokens=spec.max_tokens)


def _macs(module: Student | StaticStudent) -> int:
    if isinstance(module, StaticStudent):
        return static.macs(module.shape, MEASURED_TOKENS)
    return student.macs(module.shape, MEASURED_TOKENS)


def _rebuilt(shape: dict[str, Any]) -> Student | StaticStudent:
    return StaticStudent(StaticShape(**shape)) if "bigrams" in shape else Student(StudentShape(**shape))
