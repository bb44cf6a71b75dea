"""The stages that make what students learn from: queries, the teacher's vectors of them, and candidates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from build_tools import documents
from build_tools.corpus import fingerprint
from build_tools.distill import generator, labels, mining, queries
from build_tools.distill.drawing import tidied
from build_tools.distill.labels import LabelledPair, Labels
from build_tools.distill.lessons import Candidates, Lesson
from build_tools.distill.queries import TrainingQueries
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.shards import one_by_one
from build_tools.stages.corpus import Corpus, DocumentVectors
from build_tools.teacher import Teacher
from build_tools.towers import encode_resumably
from build_tools.workspace import Stage, Workspace, write_atomically
from edge_runtime import __version__, schema
from edge_runtime.bundle import sha256

QUERIES = "queries.json"
WIDER = 2
"""Candidates mined for each one kept, where a cross-encoder will weed out false negatives."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What every student of a build learns from, and what it is measured on.

    Attributes:
        candidates: None where no loss of the recipe compares queries with documents.
        key: identifies all of it.
    """

    training: Lesson
    held_out: Lesson
    candidates: Candidates | None
    key: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """The texts to learn from, and the labelled pairs among them that may train.

    Attributes:
        key: identifies the texts.
    """

    queries: TrainingQueries
    pairs: tuple[LabelledPair, ...]
    key: str


def draw_queries(recipe: Recipe, corpus: Corpus, workspace: Workspace, progress: Progress) -> Drawn:
    """The texts that the recipe's `queries` name; needs no vector, so a wrong file shows before any.

    Raises:
        BuildError: there is too little to learn from, or something that the recipe names cannot be read.
    """
    found = None
    if recipe.queries.labels:
        found = labels.read_labels(
            recipe.queries.labels,
            recipe.corpus,
            corpus.stage.directory,
            evaluation=recipe.evaluation,
            updated=corpus.existing,
        )
        progress.say(f"labels     {len(found.pairs):,} pairs of {len(found.queries):,} queries")
        if found.unknown or found.barred:
            passed = f"{found.unknown:,} pairs name no document or query; {found.barred:,} queries are of"
            progress.say(f"           passed over: {passed} the evaluation")
    drawn, stage = _draw(recipe, corpus, found, workspace, progress)
    return Drawn(drawn, _usable(found.pairs if found else (), drawn), stage.key)


def make_lessons(
    recipe: Recipe,
    teacher: Teacher,
    corpus: Corpus,
    vectors: DocumentVectors,
    drawn: Drawn,
    workspace: Workspace,
    progress: Progress,
) -> Lessons:
    """Every lesson that the recipe's losses need.

    Raises:
        BuildError: nothing can be told from an answer, or a model that the recipe names cannot be loaded.
    """
    training, held_out, key = _align(teacher, drawn, workspace, progress)
    if not recipe.training.losses.needs_candidates:
        return Lessons(training, held_out, None, key)
    candidates, key = _candidates(recipe, corpus, vectors, training, drawn.pairs, key, workspace, progress)
    return Lessons(training, held_out, candidates, key)


def _draw(
    recipe: Recipe, corpus: Corpus, found: Labels | None, workspace: Workspace, progress: Progress
) -> tuple[TrainingQueries, Stage]:
    spec = recipe.queries
    evaluation = labels.evaluation_queries(recipe.corpus, recipe.evaluation)
    log = Path(spec.log).expanduser() if spec.log else None
    inputs = (
        found.queries if found else (),
        evaluation,
        sha256(log) if log and log.is_file() else None,
        fingerprint.of_path(spec.generator) if spec.generator else None,
    )
    stage = workspace.stage("queries", __version__, corpus.key, spec, recipe.training.seed, inputs)
    path = stage.directory / QUERIES
    if not stage.done:
        written = _write_queries(recipe, corpus, stage, progress)
        with progress.task("queries", total=None, unit="texts") as advance:
            advance(1)
            drawn = queries.draw(
                documents.read(corpus.stage.directory),
                spec,
                seed=recipe.training.seed,
                labelled=found.queries if found else (),
                written=written,
                evaluation=evaluation,
            )
        data = json.dumps(asdict(drawn)).encode()
        write_atomically(path, lambda file: file.write(data))
        stage.finish()
    # Through the decoder, which turns lists into the tuples that they were.
    return schema.decode(TrainingQueries, json.loads(path.read_text("utf-8"))), stage


def _write_queries(recipe: Recipe, corpus: Corpus, stage: Stage, progress: Progress) -> tuple[str, ...]:
    spec = recipe.queries
    if spec.generator is None:
        return ()
    model = generator.Generator.load(spec.generator)
    with progress.task("generator", total=spec.generator_queries, unit="queries") as advance:
        written = generator.write_resumably(
            corpus.contents(),
            spec.generator_queries,
            stage.directory,
            generator=model,
            seed=recipe.training.seed,
            advance=advance,
        )
    progress.say(f"generator  {len(written):,} queries by {spec.generator}")
    return written


def _align(
    teacher: Teacher, drawn: Drawn, workspace: Workspace, progress: Progress
) -> tuple[Lesson, Lesson, str]:
    """Training and held-out texts with the teacher's query vectors, and their key."""
    stage, texts = workspace.stage("lessons", drawn.key, teacher.tower.digest), drawn.queries
    both = [*texts.held_out, *texts.training]
    with progress.task("lessons", total=len(both), unit="texts") as advance:
        targets = encode_resumably(
            both, len(both), stage.directory, spread=one_by_one(teacher.tower.encode_queries), advance=advance
        )
    progress.say(f"lessons    {len(texts.training):,} texts to learn from, {len(texts.held_out):,} held out")
    targets, held_out = teacher.reduced(targets), len(texts.held_out)
    training = Lesson(texts.training, targets[held_out:])
    key = f"{stage.key} {teacher.key}"
    return training, Lesson(texts.held_out, targets[:held_out]), key


def _usable(pairs: tuple[LabelledPair, ...], drawn: TrainingQueries) -> tuple[LabelledPair, ...]:
    """Those whose query is not held out."""
    held_out = set(drawn.held_out_labelled)
    return tuple(pair for pair in pairs if pair.query not in held_out)


def _candidates(
    recipe: Recipe,
    corpus: Corpus,
    vectors: DocumentVectors,
    training: Lesson,
    pairs: tuple[LabelledPair, ...],
    key: str,
    workspace: Workspace,
    progress: Progress,
) -> tuple[Candidates, str]:
    spec, seed = recipe.training.candidates, recipe.training.seed
    owners, keys = documents.owners(corpus.stage.directory), documents.keys(corpus.stage.directory)
    positives = _positives(training.texts, pairs, keys)
    scoring = recipe.training.losses.needs_cross_encoder
    passages = mining.Passages(vectors.vectors, owners)
    wide = replace(spec, count=min(WIDER * spec.count, spec.depth)) if scoring else spec
    with progress.task("mining", total=None, unit="queries") as advance:
        advance(1)
        candidates = mining.mine(training, passages, positives=positives, spec=wide, seed=seed)
    if scoring:
        candidates, key = _scored(recipe, corpus, candidates, key, workspace, progress)
        count = min(spec.count, candidates.rows.shape[1])
        candidates = mining.narrow(candidates, count=count, margin=spec.margin)
    labelled = int(candidates.labelled.sum())
    progress.say(
        f"candidates {len(candidates.texts):,} queries ({labelled:,} labelled) × {candidates.rows.shape[1]}"
    )
    return candidates, f"{key} {pairs!r}"


def _positives(texts: Sequence[str], pairs: Sequence[LabelledPair], keys: Sequence[str]) -> list[list[int]]:
    """For each text the numbers of its labelled documents, best first."""
    numbers = {key: number for number, key in enumerate(keys)}
    found: dict[str, list[int]] = {}
    for pair in sorted(pairs, key=lambda pair: -pair.relevance):
        found.setdefault(tidied(pair.query), []).append(numbers[pair.document])
    return [found.get(text, []) for text in texts]


def _scored(
    recipe: Recipe,
    corpus: Corpus,
    candidates: Candidates,
    key: str,
    workspace: Workspace,
    progress: Progress,
) -> tuple[Candidates, str]:
    from build_tools.distill import cross_encoder

    assert recipe.training.cross_encoder is not None
    scorer = cross_encoder.Scorer.load(recipe.training.cross_encoder)
    rows = candidates.rows
    digest = hashlib.sha256(rows.tobytes()).hexdigest()
    stage = workspace.stage("scores", key, scorer.digest, candidates.texts, digest)
    needed = set(np.unique(rows).tolist())
    contents = {row: text for row, text in enumerate(corpus.contents()) if row in needed}
    with progress.task("scores", total=rows.size, unit="pairs") as advance:
        scored = cross_encoder.score_candidates(
            candidates, contents, stage.directory, scorer=scorer, advance=advance
        )
    progress.say(f"scores     {rows.size:,} pairs by {scorer.name}")
    return scored, stage.key
