"""The stages that make each encoder: a trained student, and the file that the device reads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from build_tools.compile import WRITERS
from build_tools.compile.onnx import MODEL, WEIGHTS, compile_onnx
from build_tools.compile.static import compile_static
from build_tools.compile.tflite import compile_tflite
from build_tools.corpus import fingerprint
from build_tools.distill import distil
from build_tools.distill.budget import resolve
from build_tools.distill.curve import CurvePoint, best
from build_tools.distill.distil import Course, Distilled
from build_tools.distill.static import StaticStudent
from build_tools.distill.student import Student
from build_tools.progress import Progress
from build_tools.recipe_compile import CompileSpec, Form, Precision
from build_tools.recipe_training import StudentSpec, TrainingSpec
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__

_SHOWN = {"onnx": "ONNX", "tflite": "TFLite", "static": "table"}


@dataclass(frozen=True, slots=True)
class Encoder:
    """A student and one compiled form of it.

    Attributes:
        id: the recipe's, or with the engine or precision behind it where that is not the first.
        path: a TFLite file, or the directory of the others.
        lengths: as in `edge_runtime.encoder_spec.EncoderSpec`.
    """

    id: str
    kind: Literal["onnx", "tflite", "static"]
    spec: StudentSpec
    distilled: Distilled
    path: Path
    lengths: tuple[int, ...] = ()
    precision: Precision = "int8"

    @property
    def max_tokens(self) -> int:
        """The longest query that it reads."""
        return min(self.spec.max_tokens, self.lengths[-1]) if self.lengths else self.spec.max_tokens


def make_encoders(
    spec: StudentSpec,
    course: Course,
    targets: CompileSpec,
    lessons_key: str,
    workspace: Workspace,
    progress: Progress,
) -> list[Encoder]:
    """A trained student, compiled for each engine; its learning curve is printed and kept."""
    stage = _stage(spec, course.spec, lessons_key, workspace)
    if not stage.done:
        _train(spec, course, stage, progress)
    distilled = distil.load(stage)
    chosen = best(distilled.curve)
    progress.say(
        f"student    {spec.id}: {chosen.held_out_cosine:.4f} cosine to the teacher on held-out text after "
        f"{chosen.step} steps, {distilled.curve[-1].seconds:.0f} s"
    )
    made = []
    for form in targets.forms(spec):
        path = _compile(distilled.student, form, stage, workspace, max_tokens=spec.max_tokens)
        files = path.iterdir() if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
        progress.say(f"compiled   {size / 1e6:.1f} MB of {form.precision} {_SHOWN[form.kind]}")
        made.append(Encoder(form.id, form.kind, spec, distilled, path, form.lengths, form.precision))
    return made


def _stage(spec: StudentSpec, training: TrainingSpec, lessons_key: str, workspace: Workspace) -> Stage:
    """A base encoder of its own is an input; the teacher already is one of the lessons."""
    base = () if spec.base == "teacher" else (fingerprint.of_path(spec.base), "every layer")
    return workspace.stage("student", __version__, lessons_key, spec, training, version("torch"), *base)


def _train(spec: StudentSpec, course: Course, stage: Stage, progress: Progress) -> None:
    def report(point: CurvePoint) -> None:
        candidates = "" if point.held_out_loss is None else f"  candidates {point.held_out_loss:.4f}"
        progress.say(
            f"           step {point.step:5d}  loss {point.loss:.4f}  "
            f"cosine to the teacher, held out {point.held_out_cosine:.4f}{candidates}  {point.seconds:4.0f} s"
        )

    progress.say(f"student    {spec.id}: {_described(spec)}")
    with progress.task(spec.id, total=resolve(spec, course.spec).steps, unit="steps") as advance:
        distil.distil(course, spec, stage, report=report, advance=advance)


def _described(spec: StudentSpec) -> str:
    if spec.kind == "static":
        return f"static, up to {spec.bigrams:,} pairs of tokens"
    if spec.probe is not None:
        return f"{spec.probe} layers, to be probed"
    return "all layers" if spec.layers is None else f"layers {list(spec.layers)}"


def _compile(
    module: Student | StaticStudent, form: Form, student: Stage, workspace: Workspace, *, max_tokens: int
) -> Path:
    """A TFLite file, or the directory of the others."""
    writers = tuple(version(name) for name in WRITERS[form.kind])
    name = form.kind if form.precision == "int8" else form.precision
    files = (MODEL, WEIGHTS) if form.kind == "onnx" else ()
    stage = workspace.stage(name, __version__, student.key, form.lengths, writers, *files)
    path = stage.directory / "encoder"
    if not stage.done:
        if isinstance(module, StaticStudent):
            compile_static(module, path)
        elif form.kind == "onnx":
            compile_onnx(module, path, precision=form.precision)
        else:
            compile_tflite(module, path, max_tokens=max_tokens, lengths=form.lengths)
        stage.finish()
    return path
