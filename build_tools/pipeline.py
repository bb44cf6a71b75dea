"""Recipe in, bundle out: the stages in order, each kept under the hash of what it depends on.

    read and chunk ─ documents.sqlite ─┬─ document vectors ─ dense index ─┐
                                       ├─ word index ─────────────────────┼─ assemble ─ measure ─ gates ─ pack
                                       └─ training texts ─ students ──────┘

A second run does only what a change of the recipe, the documents or a library reaches; an interrupted one
goes on with the shards and checkpoints it finds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from build_tools import documents, index, lexical
from build_tools.compile.onnx import compile_onnx
from build_tools.corpus import chunker, fingerprint, reader
from build_tools.corpus.document import Passage
from build_tools.corpus.reader import SkipLog
from build_tools.distill import distil, texts
from build_tools.distill.distil import Distilled, Lesson
from build_tools.distill.texts import TrainingTexts
from build_tools.distill.trainer import CurvePoint
from build_tools.progress import Progress
from build_tools.recipe import Recipe, StudentSpec
from build_tools.towers import Tower, encode_resumably
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__, manifest, schema
from edge_runtime.bundle import sha256

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents, read, cut and stored. `key` changes when any passage does."""

    stage: Stage
    key: str
    documents: int
    passages: int

    def contents(self) -> Iterator[str]:
        """What the towers and the word index read, in row order."""
        return (passage.content for passage in documents.read(self.stage.directory))


@dataclass(frozen=True, slots=True)
class Encoder:
    """A student and its compiled file."""

    spec: StudentSpec
    distilled: Distilled
    path: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a bundle is assembled from."""

    recipe: Recipe
    tower: Tower
    corpus: Corpus
    vectors: NDArray[np.float32]
    held_out: Lesson
    encoders: tuple[Encoder, ...]
    index: Path
    index_spec: manifest.IndexSpec
    lexical: Path
    lexical_spec: manifest.LexicalSpec


def make_parts(recipe: Recipe, workspace: Workspace, progress: Progress) -> Parts:
    """Runs every stage up to assembly.

    Raises:
        BuildError: the first stage that cannot go on says why.
    """
    progress.say(f"teacher    {recipe.teacher.model}")
    tower = Tower.load(recipe.teacher)
    for spec in recipe.encoders:
        distil.untrained(tower, spec, seed=recipe.training.seed)  # to fail now rather than in an hour
    corpus = read_corpus(recipe, tower, workspace, progress)
    drawn = texts.draw(documents.read(corpus.stage.directory), recipe.training)
    vectors, vectors_key = encode_corpus(tower, corpus, workspace, progress)
    training, held_out, lessons_key = make_lessons(recipe, tower, corpus, drawn, workspace, progress)
    encoders = []
    for spec in recipe.encoders:
        stage = student_stage(spec, recipe, lessons_key, workspace)
        distilled = train_student(tower, spec, recipe, training, held_out, stage, progress)
        encoders.append(Encoder(spec, distilled, compile_student(distilled, stage, workspace, progress)))
    index_path, index_spec = build_index(recipe, vectors, vectors_key, workspace, progress)
    lexical_path, lexical_spec = build_lexical(recipe, corpus, workspace, progress)
    return Parts(
        recipe=recipe,
        tower=tower,
        corpus=corpus,
        vectors=vectors,
        held_out=held_out,
        encoders=tuple(encoders),
        index=index_path,
        index_spec=index_spec,
        lexical=lexical_path,
        lexical_spec=lexical_spec,
    )


def read_corpus(recipe: Recipe, tower: Tower, workspace: Workspace, progress: Progress) -> Corpus:
    """Reads, cuts and stores the documents; what was skipped is said."""
    source = (recipe.corpus, fingerprint.of(recipe.corpus), platform.python_version())
    stage = workspace.stage("documents", __version__, source, recipe.chunk, tower.digest)
    if not stage.done:
        skipped = SkipLog()
        with progress.task("documents", total=None, unit="passages") as advance:
            passages = _cut(recipe, tower, skipped)
            written = documents.write(_counted(passages, advance), stage.directory)
        stage.finish(
            {
                "documents": written.documents,
                "passages": written.passages,
                "sha256": sha256(stage.directory / documents.FILENAME),
                "skipped": skipped.summary(),
            }
        )
    result = stage.result
    progress.say(f"documents  {result['documents']:,} documents, {result['passages']:,} passages")
    if result["skipped"]:
        progress.say(f"           skipped {result['skipped']}")
    return Corpus(stage, result["sha256"], result["documents"], result["passages"])


def encode_corpus(
    tower: Tower, corpus: Corpus, workspace: Workspace, progress: Progress
) -> tuple[NDArray[np.float32], str]:
    """The document vectors, float32 (passages, ndim), and their key."""
    stage = workspace.stage("vectors", corpus.key, tower.digest)
    with progress.task("vectors", total=corpus.passages, unit="passages") as advance:
        vectors = encode_resumably(
            corpus.contents(),
            corpus.passages,
            stage.directory,
            encode=tower.encode_documents,
            advance=advance,
        )
    progress.say(f"vectors    {corpus.passages:,} × {tower.ndim} by {tower.name}")
    return vectors, stage.key


def make_lessons(
    recipe: Recipe,
    tower: Tower,
    corpus: Corpus,
    drawn: TrainingTexts,
    workspace: Workspace,
    progress: Progress,
) -> tuple[Lesson, Lesson, str]:
    """Training and held-out texts with the teacher's query vectors, and their key."""
    spec = recipe.training
    queries = sha256(Path(spec.queries)) if spec.queries and Path(spec.queries).is_file() else None
    inputs = (corpus.key, tower.digest, spec.texts, spec.held_out, spec.seed, spec.queries, queries)
    stage = workspace.stage("lessons", __version__, *inputs)
    both = [*drawn.held_out, *drawn.training]
    with progress.task("lessons", total=len(both), unit="texts") as advance:
        targets = encode_resumably(
            both, len(both), stage.directory, encode=tower.encode_queries, advance=advance
        )
    progress.say(f"lessons    {len(drawn.training):,} texts to learn from, {len(drawn.held_out):,} held out")
    held_out = len(drawn.held_out)
    training = Lesson(drawn.training, targets[held_out:])
    return training, Lesson(drawn.held_out, targets[:held_out]), stage.key


def student_stage(spec: StudentSpec, recipe: Recipe, lessons_key: str, workspace: Workspace) -> Stage:
    """Where a student is kept; a base encoder of its own is an input, the teacher already is one."""
    base = () if spec.base == "teacher" else (fingerprint.of_path(spec.base),)
    return workspace.stage(
        "student", __version__, lessons_key, spec, recipe.training, version("torch"), *base
    )


def train_student(
    tower: Tower,
    spec: StudentSpec,
    recipe: Recipe,
    training: Lesson,
    held_out: Lesson,
    stage: Stage,
    progress: Progress,
) -> Distilled:
    """A trained student; its learning curve is printed and kept."""

    def report(point: CurvePoint) -> None:
        progress.say(
            f"           step {point.step:5d}  loss {point.loss:.4f}  "
            f"cosine to the teacher, held out {point.held_out_cosine:.4f}  {point.seconds:4.0f} s"
        )

    if not stage.done:
        progress.say(f"student    {spec.id}: layers {list(spec.layers)}")
        with progress.task(spec.id, total=recipe.training.steps, unit="steps") as advance:
            distil.distil(
                tower,
                spec,
                training=training,
                held_out=held_out,
                spec=recipe.training,
                stage=stage,
                report=report,
                advance=advance,
            )
    distilled = distil.load(stage)
    last = distilled.curve[-1]
    progress.say(
        f"student    {spec.id}: {last.held_out_cosine:.4f} cosine to the teacher on held-out text after "
        f"{last.step} steps, {last.seconds:.0f} s"
    )
    return distilled


def compile_student(distilled: Distilled, student: Stage, workspace: Workspace, progress: Progress) -> Path:
    """The int8 file of a trained student."""
    writers = tuple(version(name) for name in ("torch", "onnx", "onnxruntime"))
    stage = workspace.stage("onnx", __version__, student.key, writers)
    path = stage.directory / "encoder.onnx"
    if not stage.done:
        compile_onnx(distilled.student, path)
        stage.finish()
    progress.say(f"compiled   {path.stat().st_size / 1e6:.1f} MB of int8 ONNX")
    return path


def build_index(
    recipe: Recipe, vectors: NDArray[np.float32], key: str, workspace: Workspace, progress: Progress
) -> tuple[Path, manifest.IndexSpec]:
    """The dense index and what the manifest says of it."""
    stage = workspace.stage("index", __version__, key, recipe.index, version("usearch"))
    path = stage.directory / index.FILENAME
    if not stage.done:
        with progress.task("index", total=len(vectors), unit="vectors") as advance:
            stage.finish(_plain(index.write(vectors, path, spec=recipe.index, advance=advance)))
    spec = schema.decode(manifest.IndexSpec, stage.result)
    progress.say(f"index      {spec.search} int8, {path.stat().st_size / 1e6:.1f} MB")
    return path, spec


def build_lexical(
    recipe: Recipe, corpus: Corpus, workspace: Workspace, progress: Progress
) -> tuple[Path, manifest.LexicalSpec]:
    """The word index and what the manifest says of it."""
    stage = workspace.stage("lexical", __version__, corpus.key, recipe.lexical, version("bm25s"))
    if not stage.done:
        with progress.task("words", total=corpus.passages, unit="passages") as advance:
            contents = _counted(corpus.contents(), advance)
            stage.finish(_plain(lexical.write(contents, stage.directory, spec=recipe.lexical)))
    spec = schema.decode(manifest.LexicalSpec, stage.result)
    progress.say(f"words      {spec.terms:,} terms")
    return stage.directory / spec.path, spec


def _cut(recipe: Recipe, tower: Tower, skipped: SkipLog) -> Iterator[Passage]:
    for document in reader.read(recipe.corpus, skipped=skipped):
        yield from chunker.chunk(document, recipe.chunk, tower.count_tokens)


def _counted(items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    for item in items:
        yield item
        advance(1)


def _plain(spec: object) -> dict[str, Any]:
    plain = schema.encode(spec)
    assert isinstance(plain, dict)
    return plain
