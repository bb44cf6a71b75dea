"""A bundle made anew: parts, draft, measurements, gates, and the finished directory in its place.

Imports torch and all that is slow to load; `build` calls it only when something has changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from build_tools import (
    assemble,
    card,
    documents,
    gates,
    golden,
    golden_pairs,
    pipeline,
    quality,
    record,
    reduction,
    stamp,
    timing,
)
from build_tools.corpus.beir import read_qrels, read_queries
from build_tools.evaluate import Questions, VectorSpace, agreement
from build_tools.pipeline import Parts
from build_tools.progress import Progress
from build_tools.quality import DimensionCost, PrunedVocabulary, QualityCard
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE, CURVES
from build_tools.reduction import Reduction
from build_tools.swap import swap_in, unfinished
from build_tools.workspace import STAGES, MissingStageError, Workspace, locked
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle, sha256


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole bundle beside the one that stands, measured and above its gates."""

    parts: Parts
    directory: Path
    card: QualityCard

    def place(self) -> None:
        """The old bundle makes room for it, and its aids lie beside it."""
        home = self.directory.parent
        if self.parts.teacher.reduction is not None:
            self.parts.teacher.reduction.save(home)
        swap_in(self.directory, home / BUNDLE)
        _write_curves(self.parts, home / CURVES)


def make(recipe: Recipe, home: Path, progress: Progress) -> QualityCard:
    """Makes the bundle directory and the learning curves in the build folder `home`.

    Raises:
        BuildError: a stage could not go on, or a gate was missed; finished stages are kept.
    """
    _check_early(recipe)
    draft = _draft(pipeline.make_parts(recipe, Workspace(home / STAGES), progress), home, progress)
    (home / record.FILENAME).unlink(missing_ok=True)  # from here on it would speak of another bundle
    draft.place()
    return draft.card


def remake(recipe: Recipe, home: Path, progress: Progress, *, fitted: Reduction | None = None) -> Draft:
    """Drafts the same with the documents and indexes of the bundle that stands in `home`, byte for byte.

    Args:
        fitted: the map to fewer dimensions behind the index; by default it is fitted on the documents.

    Raises:
        BundleError: that bundle is damaged.
        BuildError: as `make`; also when the teacher is not the one that made the index.
    """
    _check_early(recipe)
    if recipe.corpus.source == "beir" and not Path(recipe.corpus.path or "").expanduser().is_dir():
        progress.say(
            f"evaluation {recipe.corpus.path} is no folder any more: quality is measured on held-out texts"
        )
    bundle = home / BUNDLE
    Bundle.open(bundle).close()  # every byte is checked
    manifest = manifests.read(bundle / manifests.FILENAME)
    parts = pipeline.remake_encoders(
        recipe, bundle, manifest, Workspace(home / STAGES), progress, fitted=fitted
    )
    return _draft(parts, home, progress)


def _draft(parts: Parts, home: Path, progress: Progress) -> Draft:
    """Assembles, measures and checks."""
    finished = unfinished(home / BUNDLE)
    assemble.draft(parts, finished)
    measured = _measure(parts, finished, progress)
    quality.write(measured, finished)
    assemble.write_manifest(parts, finished, measured)
    _check_gates(parts, measured, finished)
    return Draft(parts, finished, measured)


def reference_of(bundle: Path, progress: Progress) -> card.Reference | None:
    """The teacher, exact vectors and PyTorch students behind a bundle, or None where its build folder or a
    stage is gone, or its inputs have changed since: an evaluation must not turn into a build.
    """
    home = bundle.resolve().parent
    built = record.read(home)
    if built is None or not (home / STAGES).is_dir():
        return None
    with locked(home), record.in_its_directory(built, home):
        if not built.current:
            return None
        try:
            parts = pipeline.make_parts(built.recipe, Workspace(home / STAGES, frozen=True), progress)
        except MissingStageError:
            return None
    manifest = manifests.read(bundle / manifests.FILENAME)
    if manifest.index != parts.index_spec:
        return None
    made = parts.index.parent  # its path ends as the manifest's does
    same = all(sha256(made / path) == manifest.entry(path).sha256 for path in manifest.index.members)
    return _reference(parts) if same else None


def _check_early(recipe: Recipe) -> None:
    """Looks at what is needed last first: hours lie between."""
    stamp.created()
    if folder := card.judged_folder(recipe):
        read_queries(folder)
        read_qrels(folder, recipe.evaluation.split)


def _write_curves(parts: Parts, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for encoder in parts.encoders:
        lines = [json.dumps(asdict(point)) + "\n" for point in encoder.distilled.curve]
        (directory / f"{encoder.id}.jsonl").write_text("".join(lines), "utf-8")


def _measure(parts: Parts, directory: Path, progress: Progress) -> QualityCard:
    reference = _reference(parts)
    held_out = list(parts.held_out.texts)
    golden.write(directory, held_out[: parts.recipe.golden])
    assemble.write_manifest(parts, directory)
    if parts.reranker:
        golden_pairs.write(directory)
        assemble.write_manifest(parts, directory)
    parities, recall = card.parity_and_recall(directory, reference, held_out)
    questions = _questions(parts, reference)
    with progress.task("measuring", total=None, unit="systems") as advance:
        rows = card.rows(directory, questions, reference, advance)
    return QualityCard(
        basis=questions.basis,
        queries=len(questions.texts),
        rows=rows,
        parity=parities,
        index_recall=recall,
        dimensions=_dimensions(parts),
        vocabularies=_vocabularies(parts),
    )


def _check_gates(parts: Parts, measured: QualityCard, directory: Path) -> None:
    spec, ids = parts.recipe.gates, [form.id for form in parts.recipe.forms()]
    ratios: dict[str, float] = {}
    if spec.latency_ratio is not None:
        ratios = timing.latency_ratios(directory, ids, parts.teacher, parts.held_out.texts)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    gates.check(
        gates.gates(spec, measured, parts.recipe.forms(), size=size, latency_ratios=ratios), directory
    )


def _dimensions(parts: Parts) -> tuple[DimensionCost, ...]:
    """What halving the dimensions again and again would cost, where the recipe asks for fewer."""
    spec = parts.recipe.teacher
    if spec.ndim is None:
        return ()
    sizes = {parts.teacher.tower.ndim >> halvings for halvings in range(5)}
    dims = sorted({size for size in sizes if size >= 8} | {spec.ndim}, reverse=True)
    queries = parts.teacher.tower.encode_queries(parts.held_out.texts)
    return tuple(reduction.costs(parts.vectors.full, queries, dims, method=spec.reduction))


def _vocabularies(parts: Parts) -> tuple[PrunedVocabulary, ...]:
    return tuple(
        PrunedVocabulary(
            encoder=encoder.id,
            entries_before=pruned.entries_before,
            entries_after=pruned.entries_after,
            bytes_saved=pruned.bytes_saved,
            respelt=pruned.respelt,
        )
        for encoder in parts.encoders
        if (pruned := encoder.distilled.pruned)
    )


def _questions(parts: Parts, reference: card.Reference) -> Questions:
    """Judged queries where the corpus has them, else agreement with the teacher on held-out text."""
    if questions := card.own_questions(parts.recipe, reference.space.keys):
        return questions
    count = parts.recipe.evaluation.queries or len(parts.held_out.texts)
    texts = parts.held_out.texts[:count]
    # By all of the teacher's dimensions, so that the card says what fewer of them lose.
    return agreement(texts, reference.full.rank(parts.teacher.tower.encode_queries(texts)))


def _reference(parts: Parts) -> card.Reference:
    directory = parts.corpus.stage.directory
    owners, keys = documents.owners(directory), documents.keys(directory)
    students = {encoder.id: encoder.distilled.student for encoder in parts.encoders}
    space = VectorSpace(parts.vectors.vectors, owners, keys)
    full = VectorSpace(parts.vectors.full, owners, keys)
    return card.Reference(parts.teacher, space, full, students, parts.held_out.texts)
