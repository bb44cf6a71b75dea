"""The stages that make each encoder: a trained student, and the file that the device reads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from build_tools.compile.onnx import compile_onnx
from build_tools.compile.static import compile_static
from build_tools.corpus import fingerprint
from build_tools.distill import distil
from build_tools.distill.budget import resolve
from build_tools.distill.curve import CurvePoint, best
from build_tools.distill.distil import Course, Distilled
from build_tools.distill.static import StaticStudent
from build_tools.progress import Progress
from build_tools.recipe_training import StudentSpec, TrainingSpec
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__


@dataclass(frozen=True, slots=True)
class Encoder:
    """A student and its compiled form: a file, or the directory of a static one."""

    spec: StudentSpec
    distilled: Distilled
    path: Path


def make_encoder(
    spec: StudentSpec, course: Course, lessons_key: str, workspace: Workspace, progress: Progress
) -> Encoder:
    """A trained and compiled student; its learning curve is printed and kept."""
    stage = _stage(spec, course.spec, lessons_key, workspace)
    if not stage.done:
        _train(spec, course, stage, progress)
    distilled = distil.load(stage)
    chosen = best(distilled.curve)
    progress.say(
        f"student    {spec.id}: {chosen.held_out_cosine:.4f} cosine to the teacher on held-out text after "
        f"{chosen.step} steps, {distilled.curve[-1].seconds:.0f} s"
    )
    return Encoder(spec, distilled, _compile(distilled, stage, workspace, progress))


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


def _compile(distilled: Distilled, student: Stage, workspace: Workspace, progress: Progress) -> Path:
    """The int8 form of a trained student."""
    if isinstance(distilled.student, StaticStudent):
        stage = workspace.stage("static", __version__, student.key)
        if not stage.done:
            compile_static(distilled.student, stage.directory / "encoder")
            stage.finish()
        path = stage.directory / "encoder"
        size = sum(file.stat().st_size for file in path.iterdir())
    else:
        writers = tuple(version(name) for name in ("torch", "onnx", "onnxruntime"))
        stage = workspace.stage("onnx", __version__, student.key, writers)
        path = stage.directory / "encoder.onnx"
        if not stage.done:
            compile_onnx(distilled.student, path)
            stage.finish()
        size = path.stat().st_size
    progress.say(f"compiled   {size / 1e6:.1f} MB of int8 {'table' if path.is_dir() else 'ONNX'}")
    return path
