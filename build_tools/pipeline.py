"""Recipe in, bundle out: the stages in order, each kept under the hash of what it depends on.

    read and chunk ─ documents.sqlite ─┬─ document vectors ─ dense index ─┐
                                       ├─ word index ─────────────────────┼─ assemble ─ measure ─ gates ─ pack
                                       └─ queries ─ lessons ─ encoders ───┘

A second run does only what a change of the recipe, the documents or a library reaches; an interrupted one
goes on with the shards and checkpoints it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_tools import card, documents, fields, index
from build_tools.compile.tflite import check_installed
from build_tools.distill import distil
from build_tools.distill.cross_encoder import Scorer
from build_tools.distill.distil import Course
from build_tools.distill.lessons import Lesson
from build_tools.errors import BuildError, ModelError
from build_tools.evaluate import Questions
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.reduction import Reduction
from build_tools.stages.corpus import (
    Corpus,
    DocumentVectors,
    corpus_of,
    encode_corpus,
    read_corpus,
    reduce_vectors,
)
from build_tools.stages.indexes import build_index, build_lexical
from build_tools.stages.joining import join, read_questions
from build_tools.stages.lessons import draw_queries, make_lessons
from build_tools.stages.reranking import CompiledReranker, make_reranker
from build_tools.stages.rungs import Encoder, make_encoders
from build_tools.teacher import Teacher
from build_tools.towers import Tower
from build_tools.workspace import Workspace
from edge_runtime import cpu
from edge_runtime.manifest import FusionSpec, IndexSpec, LexicalSpec, Manifest


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a bundle is assembled from."""

    recipe: Recipe
    teacher: Teacher
    corpus: Corpus
    vectors: DocumentVectors
    held_out: Lesson
    encoders: tuple[Encoder, ...]
    index: Path
    index_spec: IndexSpec
    lexical: Path
    lexical_spec: LexicalSpec
    fusion: FusionSpec
    reranker: CompiledReranker | None = None


def make_parts(recipe: Recipe, workspace: Workspace, progress: Progress) -> Parts:
    """Runs every stage up to assembly.

    Raises:
        BuildError: the first stage that cannot go on says why.
    """
    tower = _load_tower(recipe, progress)
    corpus = read_corpus(recipe, tower, workspace, progress)
    # Where a field or the index' library is missing, to fail now rather than in an hour.
    if recipe.filters.indexed:
        fields.check(corpus.stage.directory, recipe.filters.indexed)
    index.writer(index.strategy(recipe.index, corpus.passages, tower.ndim))
    learnt = _learn(recipe, tower, corpus, workspace, progress)
    index_path, index_spec = build_index(recipe, learnt.vectors, learnt.held_out, workspace, progress)
    lexical_path, lexical_spec = build_lexical(recipe, corpus, workspace, progress)
    return _parts(recipe, corpus, learnt, (index_path, index_spec), (lexical_path, lexical_spec), progress)


def remake_encoders(
    recipe: Recipe,
    directory: Path,
    bundle: Manifest,
    workspace: Workspace,
    progress: Progress,
    *,
    fitted: Reduction | None = None,
) -> Parts:
    """The parts of an existing bundle with new encoders: documents and indexes are its own files.

    Args:
        directory: of the bundle, its bytes checked.
        fitted: the map to fewer dimensions behind the index; by default it is fitted on the documents.

    Raises:
        BuildError: the first stage that cannot go on says why.
    """
    tower = _load_tower(recipe, progress)
    corpus = corpus_of(directory, bundle)
    learnt = _learn(recipe, tower, corpus, workspace, progress, fitted=fitted)
    lexical = directory / bundle.lexical.path
    return _parts(
        recipe,
        corpus,
        learnt,
        (directory / bundle.index.path, bundle.index),
        (lexical, bundle.lexical),
        progress,
    )


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What does not depend on the indexes."""

    teacher: Teacher
    vectors: DocumentVectors
    held_out: Lesson
    questions: Questions | None
    encoders: tuple[Encoder, ...]
    reranker: CompiledReranker | None


def _load_tower(recipe: Recipe, progress: Progress) -> Tower:
    progress.say(f"teacher    {recipe.teacher.model}")
    tower, ndim = Tower.load(recipe.teacher), recipe.teacher.ndim
    if ndim is not None and ndim >= tower.ndim:
        problem = f"the teacher's vectors have {tower.ndim} dimensions"
        raise ModelError(f"teacher.ndim {ndim}: {problem}; keep fewer, or leave it out")
    for spec in recipe.encoders:
        distil.check(Teacher(tower), spec)  # to fail now rather than in an hour
    if "tflite" in recipe.compile.engines:
        check_installed()
    if "blockwise" in recipe.compile.precisions and (unmet := cpu.unmet(("dot_product",))):
        # What is built is measured here, too.
        raise BuildError(f"compile.precisions: blockwise {unmet}; build it on another machine")
    if recipe.training.losses.needs_cross_encoder and recipe.training.cross_encoder:
        Scorer.load(recipe.training.cross_encoder)
    return tower


def _learn(
    recipe: Recipe,
    tower: Tower,
    corpus: Corpus,
    workspace: Workspace,
    progress: Progress,
    *,
    fitted: Reduction | None = None,
) -> _Learnt:
    # Judged queries of another corpus are found now rather than in an hour.
    card.own_questions(recipe, documents.keys(corpus.stage.directory))
    # Before the training: it is made in seconds, or refused.
    reranker = make_reranker(recipe.reranker, workspace, progress) if recipe.reranker else None
    drawn = draw_queries(recipe, corpus, workspace, progress)
    questions = read_questions(recipe, corpus)
    full, key = encode_corpus(recipe, tower, corpus, workspace, progress)
    teacher, vectors = reduce_vectors(recipe.teacher, tower, full, key, workspace, progress, fitted=fitted)
    lessons = make_lessons(recipe, teacher, corpus, vectors, drawn, workspace, progress)
    course = Course(
        teacher=teacher,
        training=lessons.training,
        held_out=lessons.held_out,
        candidates=lessons.candidates,
        documents=vectors.vectors,
        contents=corpus.contents,
        spec=recipe.training,
    )
    encoders = tuple(
        encoder
        for spec in recipe.encoders
        for encoder in make_encoders(spec, course, recipe.compile, lessons.key, workspace, progress)
    )
    return _Learnt(teacher, vectors, lessons.held_out, questions, encoders, reranker)


def _parts(
    recipe: Recipe,
    corpus: Corpus,
    learnt: _Learnt,
    index: tuple[Path, IndexSpec],
    lexical: tuple[Path, LexicalSpec],
    progress: Progress,
) -> Parts:
    return Parts(
        recipe=recipe,
        teacher=learnt.teacher,
        corpus=corpus,
        vectors=learnt.vectors,
        held_out=learnt.held_out,
        encoders=learnt.encoders,
        reranker=learnt.reranker,
        index=index[0],
        index_spec=index[1],
        lexical=lexical[0],
        lexical_spec=lexical[1],
        fusion=join(
            recipe,
            learnt.teacher,
            corpus,
            learnt.vectors,
            learnt.held_out,
            learnt.questions,
            lexical,
            progress,
        ),
    )
