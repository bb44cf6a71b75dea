"""Measures what a report shows.

The bundle alone gives latencies, sizes, licences, its quality card and the recall of its index. The teacher
and the PyTorch students of its build folder add cosines and the comparison with the teacher; ``curves/``
adds the learning curves, and the recipe its gates. What is not there is left out, and said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edge_runtime
from build_tools import evaluate, timing
from build_tools.distill.curve import CurvePoint
from build_tools.distill.trainer import encode_tokens
from build_tools.gates import Gate, gates
from build_tools.progress import Progress
from build_tools.quality import QualityCard, Row
from build_tools.record import CURVES
from build_tools.report import index_recall, latencies, sources
from build_tools.report.compare import compare
from build_tools.report.data import Comparison, Findings, IndexRecall, Part, Rung, Teacher
from build_tools.report.latencies import RungTimes
from build_tools.report.sources import Behind, Sources
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import EncoderSpec, Manifest

SEARCHES = 300
"""Timed for each encoder and mode."""

TIMED_QUERIES = 200
"""Different queries behind the latencies, at most."""

RECALL_QUERIES = 500
"""Queries behind the index's recall, at most."""

NO_MODELS = (
    "No build folder stands beside the bundle, or its inputs have changed since. Without the teacher and the "
    "PyTorch students there are no cosines and no comparison with the teacher, and the index is judged by "
    "its own exact search."
)
NO_RECIPE = "The recipe is not there, or was written by another version: the gates are not known."
NO_QUESTIONS = (
    "The judged queries that the card rests on are not where they were: no comparison with the teacher."
)
NO_CURVE = "There is no learning curve of {}."


def collect(bundle: Path, progress: Progress, *, searches: int = SEARCHES) -> Findings:
    """All that can be measured of a bundle's directory, on this machine and now.

    Args:
        searches: timed for each encoder and mode.

    Raises:
        edge_runtime.Error: not a bundle, not as it was built, or an encoder's engine is missing.
        BuildError: its quality card cannot be read, a build is at work in its folder, or a model is gone.
    """
    known = sources.read(bundle)
    encoders = [spec.id for spec in known.manifest.encoders]
    asked = list(known.judged.texts.values())[:TIMED_QUERIES] if known.judged else known.golden
    # Before the models take memory and threads.
    times, rung_times = latencies.measure(bundle, encoders, asked, searches=searches, progress=progress)
    models = sources.behind(known, progress)
    teacher = _teacher(known, models)
    with progress.task("rungs", total=len(encoders), unit="rungs") as advance:
        rungs = []
        for spec in known.manifest.encoders:
            rungs.append(_rung(spec, rung_times[spec.id], known, models))
            advance(1)
    return Findings(
        name=known.manifest.name,
        version=known.manifest.version,
        created=known.manifest.created,
        documents=known.manifest.documents.documents,
        passages=known.manifest.documents.passages,
        ndim=known.manifest.index.ndim,
        bytes=sum(entry.size for entry in known.manifest.files),
        teacher=teacher,
        timing=times,
        held_out=len(models.held_out) if models else 0,
        rungs=tuple(rungs),
        card=known.card,
        index=_index_recall(known, models),
        parts=parts(known.manifest),
        gates=_gates(known, models),
        licences=known.manifest.licences,
        missing=tuple(_missing(known, models, rungs)),
    )


def parts(manifest: Manifest) -> tuple[Part, ...]:
    """What each part of a bundle weighs, the heaviest first; together all of the manifest's files."""
    named = {path: Part(spec.id, 0, spec.id) for spec in manifest.encoders for path in spec.members}
    named |= {spec.tokenizer: Part("tokenizer", 0) for spec in manifest.encoders}
    named[manifest.index.path] = Part("dense index", 0)
    named[manifest.lexical.path] = Part("word index", 0)
    named[manifest.documents.path] = named[manifest.documents.owners] = Part("documents", 0)
    sizes: dict[Part, int] = {}
    for entry in manifest.files:
        path = Path(entry.path)
        above = (folder.as_posix() for folder in (path, *path.parents))
        part = next((named[name] for name in above if name in named), Part("golden queries, card", 0))
        sizes[part] = sizes.get(part, 0) + entry.size
    weighed = (Part(part.name, size, part.rung) for part, size in sizes.items())
    return tuple(sorted(weighed, key=lambda part: -part.bytes))


def _teacher(known: Sources, models: Behind | None) -> Teacher | None:
    if models:
        teacher = models.reference.teacher
        asked = models.questions.texts.values() if models.questions else models.held_out
        return Teacher(teacher.name, latencies.teacher_milliseconds(teacher, list(asked)))
    return Teacher(known.recipe.teacher.model, None) if known.recipe else None


def _rung(spec: EncoderSpec, times: RungTimes, known: Sources, models: Behind | None) -> Rung:
    to_teacher, to_pytorch = _cosines(spec.id, known, models) if models else ((), ())
    return Rung(
        id=spec.id,
        what="static" if spec.kind == "static" else f"{spec.layers} layers",
        bytes=next(part.bytes for part in parts(known.manifest) if part.rung == spec.id),
        encode=times.encode,
        dense=times.dense,
        hybrid=times.hybrid,
        quality=known.card.through_index(spec.id),
        hybrid_quality=_hybrid(known.card, spec.id),
        curve=_curve(known.home / CURVES / f"{spec.id}.jsonl"),
        to_teacher=to_teacher,
        to_pytorch=to_pytorch,
        comparison=_comparison(spec.id, known, models) if models else None,
    )


def _hybrid(card: QualityCard, encoder: str) -> Row | None:
    return next((row for row in card.rows if row.system == f"{encoder}, hybrid"), None)


def _curve(path: Path) -> tuple[CurvePoint, ...]:
    """Empty where there is none that this version reads."""
    try:
        return tuple(CurvePoint(**json.loads(line)) for line in path.read_text("utf-8").splitlines())
    except (OSError, ValueError, TypeError):
        return ()


def _cosines(encoder: str, known: Sources, models: Behind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of the PyTorch student to the teacher, and of the compiled encoder to that student."""
    student = models.reference.students.get(encoder)
    if student is None:
        return (), ()
    with edge_runtime.open(known.bundle, encoder=encoder, verify="size") as retriever:
        learned = encode_tokens(student, [retriever.tokenize(text) for text in models.held_out])
        compiled = retriever.encode(models.held_out)
    return _row_wise(learned, models.targets), _row_wise(compiled, learned)


def _row_wise(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> tuple[float, ...]:
    """Cosines of unit vectors, both (n, ndim)."""
    return tuple((ours * theirs).sum(axis=1).tolist())


def _comparison(encoder: str, known: Sources, models: Behind) -> Comparison | None:
    if models.questions is None:
        return None
    texts = list(models.questions.texts.values())
    with edge_runtime.open(known.bundle, encoder=encoder, verify="size") as retriever:
        rankings = evaluate.bundle_rankings(retriever, texts, "dense")
    return compare(models.questions, models.rankings, rankings)


def _index_recall(known: Sources, models: Behind | None) -> IndexRecall:
    bundle = Bundle.open(known.bundle, verify="size")
    try:
        if models:
            vectors = models.reference.space.vectors
            return index_recall.measure(bundle, models.targets[:RECALL_QUERIES], vectors)
        with edge_runtime.open(known.bundle, verify="size") as retriever:
            return index_recall.measure(bundle, retriever.encode(known.golden), None)
    finally:
        bundle.close()


def _gates(known: Sources, models: Behind | None) -> tuple[Gate, ...] | None:
    """Every gate of the recipe, the latencies measured anew."""
    if known.recipe is None:
        return None
    spec, forms = known.recipe.gates, known.recipe.forms()
    ratios: dict[str, float] = {}
    if models and spec.latency_ratio is not None:
        teacher = models.reference.teacher
        ids = [form.id for form in forms]
        ratios = timing.latency_ratios(known.bundle, ids, teacher, models.held_out)
    size = sum(path.stat().st_size for path in known.bundle.rglob("*") if path.is_file())
    return gates(spec, known.card, forms, size=size, latency_ratios=ratios)


def _missing(known: Sources, models: Behind | None, rungs: list[Rung]) -> Iterator[str]:
    if models is None:
        yield NO_MODELS
    elif models.questions is None:
        yield NO_QUESTIONS
    if known.recipe is None:
        yield NO_RECIPE
    if without := [rung.id for rung in rungs if not rung.curve]:
        yield NO_CURVE.format(", ".join(without))
