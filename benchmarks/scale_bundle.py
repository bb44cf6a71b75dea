"""Bundles of any size, with the encoders of a finished one and documents and indexes of their own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import scale_corpus
from numpy.typing import NDArray
from scale_corpus import Real

from build_tools import documents, index, lexical, loose, stamp, tuning
from build_tools.corpus.document import Passage
from build_tools.index import Recall
from build_tools.progress import Progress
from build_tools.recipe import IndexSpec, LexicalSpec
from edge_runtime import manifest as manifests
from edge_runtime.dense import DenseIndex
from edge_runtime.manifest import Manifest

Floats = NDArray[np.float32]
Strategy = Literal["exact", "hnsw", "two-stage", "pq"]


@dataclass(frozen=True, slots=True)
class Sized:
    """A bundle of one size without a dense index, and what its dense indexes are made of.

    Attributes:
        base: of the bundle that the encoders are from.
        vectors: float32 (passages, ndim), mapped.
    """

    folder: Path
    base: Manifest
    words: manifests.LexicalSpec
    documents: manifests.DocumentsSpec
    vectors: Floats
    lexical_seconds: float
    lexical_bytes: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A bundle with one of the strategies.

    Attributes:
        seconds: to make the index, and to find out how far a search looks.
        bytes: of the index' files.
        recall: recall@10 of the shipped index against exact float32 search.
    """

    bundle: Path
    seconds: float
    bytes: int
    recall: float
    about: str


def sized(base: Path, real: Real, count: int, folder: Path, progress: Progress) -> Sized:
    """Encoders of the bundle `base`, with `count` documents of a passage each and their words."""
    folder.mkdir(parents=True)
    old = manifests.read(base / manifests.FILENAME)
    vectors = scale_corpus.vectors(real, count, folder.with_suffix(".npy"))
    kept = {old.golden, old.quality, *(spec.tokenizer for spec in old.encoders)}
    for path in kept.union(*(spec.members for spec in old.encoders)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / path, folder / path)
    with progress.task("documents", total=count, unit="passages") as advance:
        written = documents.write(_passages(real, count, advance), folder)
    began = time.perf_counter()
    words = lexical.write(scale_corpus.texts(real, count), folder, spec=LexicalSpec())
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in (folder / lexical.PATH).iterdir())
    return Sized(folder, old, words, documents.spec_of(written, None), vectors, seconds, size)


def indexed(
    made: Sized, strategy: Strategy, asked: Floats, tuned_by: Floats, recall: float, progress: Progress
) -> Indexed:
    """Puts an index of this strategy into the bundle, in the place of the one before.

    Args:
        asked: float32 (q, ndim), by which recall is told; others than those that it is tuned by.
        recall: what the tuning aims at.
    """
    folder = made.folder
    (folder / index.FILENAME).unlink(missing_ok=True)
    shutil.rmtree(folder / index.FOLDER, ignore_errors=True)
    recipe = IndexSpec(strategy=strategy)
    began = time.perf_counter()
    with progress.task(strategy, total=len(made.vectors), unit="vectors") as advance:
        spec = index.write(made.vectors, folder, spec=recipe, advance=advance)
    with progress.task("tuning", total=None, unit="searches") as advance:
        spec = tuning.tuned(
            spec, folder, made.vectors, tuned_by, wanted=recipe, recall=recall, advance=advance
        )
    seconds = time.perf_counter() - began
    _write_manifest(made, spec)
    opened = loose.bundle(folder)
    dense = DenseIndex.open(opened, spec)
    found = Recall.of(made.vectors, asked)(dense.search)
    dense.close()
    opened.close()
    about = "" if strategy == "exact" else str(spec.expansion)
    size = sum((folder / path).stat().st_size for path in spec.members)
    return Indexed(folder, seconds, size, found, about)


def _passages(real: Real, count: int, advance: Callable[[int], None]) -> Iterator[Passage]:
    for number, text in enumerate(scale_corpus.texts(real, count)):
        yield Passage(f"p{number}", 0, "", text, {})
        advance(1)


def _write_manifest(made: Sized, index_spec: manifests.IndexSpec) -> None:
    manifest = replace(
        made.base,
        name=f"scale-{index_spec.count}",
        index=index_spec,
        lexical=made.words,
        documents=made.documents,
        reranker=None,
        files=stamp.files_of(made.folder),
    )
    (made.folder / manifests.FILENAME).write_bytes(manifests.dump(manifest))
