"""A bundle made anew: parts, draft, measurements, gates, and the finished directory in its place.

Imports torch and all that is slow to load; `build` calls it only when something has changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from build_tools import assemble, card, documents, pipeline, quality, record
from build_tools.corpus.beir import read_qrels, read_queries
from build_tools.evaluate import Questions, VectorSpace, agreement
from build_tools.pipeline import Parts
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE
from build_tools.swap import swap_in
from build_tools.workspace import Workspace, locked
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256

CURVES, WORK = "curves", "work"


def make(recipe: Recipe, home: Path, progress: Progress) -> QualityCard:
    """Makes the bundle directory and the learning curves in the build folder `home`.

    Raises:
        BuildError: a stage could not go on, or a gate was missed; finished stages are kept.
    """
    _check_early(recipe)
    parts = pipeline.make_parts(recipe, Workspace(home / WORK), progress)
    _write_curves(parts, home / CURVES)
    finished = home / f"{BUNDLE}.new"
    assemble.draft(parts, finished)
    measured = _measure(parts, finished, progress)
    quality.write(measured, finished)
    assemble.write_manifest(parts, finished)
    assemble.check_gates(measured, recipe.gates, finished)
    (home / record.FILENAME).unlink(missing_ok=True)  # from here on it would speak of another bundle
    swap_in(finished, home / BUNDLE)
    return measured


def reference_of(bundle: Path, progress: Progress) -> card.Reference | None:
    """The teacher, exact vectors and PyTorch students behind a bundle, or None where its build folder is
    gone or its inputs have changed since: an evaluation must not turn into a build.
    """
    home = bundle.resolve().parent
    built = record.read(home)
    if built is None or built.inputs != record.inputs_of(built.recipe) or not (home / WORK).is_dir():
        return None
    with locked(home):
        parts = pipeline.make_parts(built.recipe, Workspace(home / WORK), progress)
    dense = manifests.read(bundle / manifests.FILENAME).entry(parts.index_spec.path)
    return _reference(parts) if sha256(parts.index) == dense.sha256 else None


def _check_early(recipe: Recipe) -> None:
    """Looks at what is needed last first: hours lie between."""
    assemble.created()
    if folder := _judged(recipe):
        read_queries(folder)
        read_qrels(folder, recipe.evaluation.split)


def _write_curves(parts: Parts, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for encoder in parts.encoders:
        lines = [json.dumps(asdict(point)) + "\n" for point in encoder.distilled.curve]
        (directory / f"{encoder.spec.id}.jsonl").write_text("".join(lines), "utf-8")


def _measure(parts: Parts, directory: Path, progress: Progress) -> QualityCard:
    reference = _reference(parts)
    held_out = list(parts.held_out.texts)
    card.write_golden(directory, held_out[: parts.recipe.golden])
    assemble.write_manifest(parts, directory)
    parities, recall = card.parity_and_recall(directory, reference, held_out)
    questions = _questions(parts, reference)
    with progress.task("measuring", total=None, unit="systems") as advance:
        rows = card.rows(directory, questions, reference, advance)
    return QualityCard(questions.basis, len(questions.texts), rows, parities, recall)


def _questions(parts: Parts, reference: card.Reference) -> Questions:
    """Judged queries where the corpus has them, else agreement with the teacher on held-out text."""
    evaluation = parts.recipe.evaluation
    if folder := _judged(parts.recipe):
        return card.labelled(folder, evaluation.split, reference.space.keys, evaluation.queries)
    count = evaluation.queries or len(parts.held_out.texts)
    texts = parts.held_out.texts[:count]
    return agreement(texts, reference.space.rank(parts.held_out.targets[:count]))


def _judged(recipe: Recipe) -> Path | None:
    """The corpus' own folder, where it holds judged queries."""
    if recipe.corpus.source != "beir" or not recipe.corpus.path:
        return None
    folder = Path(recipe.corpus.path).expanduser()
    return folder if (folder / "qrels").is_dir() else None


def _reference(parts: Parts) -> card.Reference:
    directory = parts.corpus.stage.directory
    space = VectorSpace(parts.vectors, documents.owners(directory), documents.keys(directory))
    students = {encoder.spec.id: encoder.distilled.student for encoder in parts.encoders}
    return card.Reference(parts.tower, space, students)
