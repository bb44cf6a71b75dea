"""The stages that make passages, and document vectors of them."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from build_tools import documents, executors, reduction
from build_tools.corpus import chunker, fingerprint, reader
from build_tools.corpus.document import Passage
from build_tools.corpus.reader import SkipLog
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.recipe_training import TeacherSpec
from build_tools.reduction import MATRIX, Reduction
from build_tools.teacher import Teacher
from build_tools.towers import Tower, encode_resumably
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__
from edge_runtime.bundle import sha256
from edge_runtime.manifest import Manifest

T = TypeVar("T")

_UNKNOWN = 0.05  # of the text: as much is worth a line
_SAMPLE, _BEGINNING = 500, 1000  # passages, and characters of each


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents, read, cut and stored. `key` changes when any passage does.

    Attributes:
        existing: whether they are those of a bundle, which may have been updated since it was built.
    """

    stage: Stage
    key: str
    documents: int
    passages: int
    existing: bool = False

    def contents(self) -> Iterator[str]:
        """What the towers and the word index read, in row order."""
        return (passage.content for passage in documents.read(self.stage.directory))


@dataclass(frozen=True, slots=True)
class DocumentVectors:
    """What the index is built from.

    Attributes:
        vectors: float32 (passages, ndim), of unit length; mapped.
        full: the same before any reduction, (passages, tower.ndim).
        key: identifies `vectors`.
    """

    vectors: NDArray[np.float32]
    full: NDArray[np.float32]
    key: str


def read_corpus(recipe: Recipe, tower: Tower, workspace: Workspace, progress: Progress) -> Corpus:
    """Reads, cuts and stores the documents; what was skipped is said."""
    source = (recipe.corpus, fingerprint.of(recipe.corpus), platform.python_version())
    stage = workspace.stage("documents", __version__, source, recipe.chunk, tower.digest)
    if not stage.done:
        skipped = SkipLog()
        with progress.task("documents", total=None, unit="passages") as advance:
            passages = _cut(recipe, tower, skipped)
            written = documents.write(counted(passages, advance), stage.directory)
        stage.finish(
            {
                "documents": written.documents,
                "passages": written.passages,
                "sha256": sha256(stage.directory / documents.FILENAME),
                "skipped": skipped.summary(),
                "unknown": tower.unknown(_sample(stage.directory, written.passages)),
            }
        )
    result = stage.result
    progress.say(f"documents  {result['documents']:,} documents, {result['passages']:,} passages")
    if result["skipped"]:
        progress.say(f"           skipped {result['skipped']}")
    if (unknown := result.get("unknown", 0.0)) > _UNKNOWN:
        progress.say(
            f"           {unknown:.0%} of the text is in words or a script that {tower.name} does not know: "
            "its vectors will not find them, only words will; name another teacher.model"
        )
    return Corpus(stage, result["sha256"], result["documents"], result["passages"])


def corpus_of(directory: Path, bundle: Manifest) -> Corpus:
    """The documents of an existing bundle, its bytes checked; their source need not be there any more."""
    key = bundle.entry(documents.FILENAME).sha256
    found = bundle.documents
    return Corpus(Stage(directory, key), key, found.documents, found.passages, existing=True)


def encode_corpus(
    recipe: Recipe, tower: Tower, corpus: Corpus, workspace: Workspace, progress: Progress
) -> tuple[NDArray[np.float32], str]:
    """The tower's document vectors, float32 (passages, tower.ndim), and their key."""
    stage = workspace.stage("vectors", corpus.key, tower.digest)
    with (
        progress.task("vectors", total=corpus.passages, unit="passages") as advance,
        executors.documents(recipe, tower) as spread,
    ):
        vectors = encode_resumably(
            corpus.contents(),
            corpus.passages,
            stage.directory,
            spread=spread,
            advance=advance,
        )
    progress.say(f"vectors    {corpus.passages:,} × {tower.ndim} by {tower.name}")
    return vectors, stage.key


def reduce_vectors(
    spec: TeacherSpec,
    tower: Tower,
    vectors: NDArray[np.float32],
    key: str,
    workspace: Workspace,
    progress: Progress,
    *,
    fitted: Reduction | None = None,
) -> tuple[Teacher, DocumentVectors]:
    """The teacher and the document vectors in the dimensions that the recipe keeps.

    Args:
        fitted: the map to them; by default it is fitted on the vectors.
    """
    if spec.ndim is None:
        return Teacher(tower), DocumentVectors(vectors, vectors, key)
    given = () if fitted is None else (fitted.digest,)
    stage = workspace.stage("reduced", __version__, key, spec.ndim, spec.reduction, *given)
    if not (stage.directory / MATRIX).exists():
        (fitted or reduction.fit(vectors, spec.ndim, method=spec.reduction)).save(stage.directory)
    fitted = Reduction.load(stage.directory)
    with progress.task("reduced", total=len(vectors), unit="vectors") as advance:
        reduced = fitted.apply_all(vectors, stage.directory, advance=advance)
    progress.say(f"reduced    {tower.ndim} to {spec.ndim} dimensions, {spec.reduction}")
    return Teacher(tower, fitted), DocumentVectors(reduced, vectors, stage.key)


def counted(items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    """The same items; `advance` is told of each as it is taken."""
    for item in items:
        yield item
        advance(1)


def _sample(directory: Path, passages: int) -> list[str]:
    """The beginnings of a few passages, from all over."""
    every = math.ceil(passages / _SAMPLE)
    return [passage.content[:_BEGINNING] for passage in islice(documents.read(directory), 0, None, every)]


def _cut(recipe: Recipe, tower: Tower, skipped: SkipLog) -> Iterator[Passage]:
    for document in reader.read(recipe.corpus, skipped=skipped):
        yield from chunker.chunk(document, recipe.chunk, tower.count_tokens)
