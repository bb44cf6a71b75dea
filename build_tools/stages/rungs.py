"""The stages that make each encoder: a trained student, and the file that the device reads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from build_tools.compile import TFLITE_PACKAGES
from build_tools.compile.onnx import compile_onnx
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
from build_tools.recipe import CompileSpec
from build_tools.recipe_training import StudentSpec, TrainingSpec
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__

_SHOWN = {"onnx": "ONNX", "tflite": "TFLite"}


@dataclass(frozen=True, slots=True)
class Encoder:
    """A student and one compiled form of it.

    Attributes:
        id: the recipe's, or with the engine behind it where that is not the first.
        path: a file, or the directory of a static encoder.
        lengths: as in `edge_runtime.encoder_spec.EncoderSpec`.
    """

    id: str
    kind: Literal["onnx", "tflite", "static"]
    spec: StudentSpec
    distilled: Distilled
    path: Path
    lengths: tuple[int, ...] = ()

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
    if isinstance(distilled.student, StaticStudent):
        path = _compile_static(distilled.student, stage, workspace)
        size = sum(file.stat().st_size for file in path.iterdir())
        progress.say(f"compiled   {size / 1e6:.1f} MB of int8 table")
        return [Encoder(spec.id, "static", spec, distilled, path)]
    made = []
    for engine in targets.engines:
        if engine == "onnx":
            path = _compile_onnx(distilled.student, stage, workspace)
        else:
            path = _compile_tflite(distilled.student, targets.lengths, stage, workspace)
        progress.say(f"compiled   {path.stat().st_size / 1e6:.1f} MB of int8 {_SHOWN[engine]}")
        lengths = targets.lengths if engine == "tflite" else ()
        made.append(Encoder(targets.id_of(spec.id, engine), engine, spec, distilled, path, lengths))
    return made


def _stage(spec: StudentSpec, training: TrainingSpec, lessons_key: str, workspace: Workspace) -> Stage:
    """A base encoder of its own is an input; the teacher already is one of the lessons."""
    base = () if spec.base == "teacher" else (fingerprint.of_path(spec.base),)
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


def _compile_static(module: StaticStudent, student: Stage, workspace: Workspace) -> Path:
    stage = workspace.stage("static", __version__, student.key)
    path = stage.directory / "encoder"
    if not stage.done:
        compile_static(module, path)
        stage.finish()
    return path


def _compile_onnx(module: Student, student: Stage, workspace: Workspace) -> Path:
    writers = tuple(version(name) for name in ("torch", "onnx", "onnxruntime"))
    stage = workspace.stage("onnx", __version__, student.key, writers)
    path = stage.directory / "encoder.onnx"
    if not stage.done:
        compile_onnx(module, path)
        stage.finish()
    return path


def _compile_tflite(module: Student, lengths: tuple[int, ...], student: Stage, workspace: Workspace) -> Path:
    writers = tuple(version(name) for name in ("torch", *TFLITE_PACKAGES.values()))
    stage = workspace.stage("tflite", __version__, student.key, lengths, writers)
    path = stage.directory / "encoder.tflite"
    if not stage.done:
        compile_tflite(module, path, lengths)
        stage.finish()
    return path
