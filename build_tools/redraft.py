"""The draft of an updated bundle: files of documents written anew, all others copied from the old version.

The graph of the dense index is made anew from the stored vectors. A graph from which vectors are only
unlinked keeps their places and their keys, and rows must follow each other.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from build_tools import documents, fields, golden, golden_pairs, index, lexical, quality, revision, stamp
from build_tools.corpus.document import Passage
from build_tools.documents import Written
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe
from build_tools.revision import Passages
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
from edge_runtime.manifest import Compatible, EncoderSpec, IndexSpec, LexicalSpec, Manifest

if TYPE_CHECKING:
    from build_tools.later_vectors import PassageEncoder

SAMPLE = 8
"""Passages of the bundle that the teacher is known by."""

NEW = -1
"""Stands for the row of a passage that the old version has not."""


@dataclass(frozen=True, slots=True)
class Old:
    """The version that is there, its bytes checked."""

    directory: Path
    manifest: Manifest
    card: QualityCard


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of it.

    Attributes:
        recipe: with the version of the new bundle.
        added: documents that differ from those it has.
        removed: keys.
        encoder: None where no document is added.
    """

    recipe: Recipe
    added: Passages
    removed: AbstractSet[str]
    encoder: PassageEncoder | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the new version's passages come from.

    Attributes:
        written: how many there are.
        kept: int64 (passages,), the old version's row, or `NEW`.
        fresh: what the new ones hold, in row order.
    """

    written: Written
    kept: NDArray[np.int64]
    fresh: Sequence[str]


def write(old: Old, change: Change, directory: Path, progress: Progress) -> QualityCard:
    """Writes the whole new version into `directory`, which is emptied first, and returns its card.

    Raises:
        BuildError: a file cannot be written, a new passage does not fit the index, or a field that is to be
            indexed is in no document any more.
        ModelError: the teacher is not the one that made the index.
    """
    shutil.rmtree(directory, ignore_errors=True)
    _copy_kept(old, directory)
    rows = _write_documents(old, change, directory)
    progress.say(
        f"documents  {rows.written.documents:,} documents, {rows.written.passages:,} passages, "
        f"{len(rows.fresh):,} of them new"
    )
    dense = _write_index(old, change, rows, directory, progress)
    words = _write_words(change.recipe, rows.written.passages, directory, progress)
    if change.recipe.filters.indexed:
        fields.write(directory, change.recipe.filters.indexed)
    card = replace(old.card, version=old.card.version or old.manifest.version)
    quality.write(card, directory)
    _finish(old, change.recipe, rows.written, (dense, words), directory)
    return card


def _copy_kept(old: Old, directory: Path) -> None:
    """The files that do not depend on documents, and the golden queries."""
    manifest = old.manifest
    about = manifest.documents
    anew = {*manifest.index.members, about.path, about.owners, manifest.quality}
    anew |= {about.fields.path} if about.fields else set()
    for entry in manifest.files:
        if entry.path not in anew and not entry.path.startswith(f"{manifest.lexical.path}/"):
            target = directory / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old.directory / entry.path, target)


def _write_documents(old: Old, change: Change, directory: Path) -> _Rows:
    kept, fresh = array("q"), []

    def passages() -> Iterator[Passage]:
        for each in revision.revise(old.directory, change.added, change.removed):
            kept.append(NEW if each.row is None else each.row)
            if each.row is None:
                fresh.append(each.passage.content)
            yield each.passage

    written = documents.write(passages(), directory)
    return _Rows(written, np.frombuffer(kept, np.int64), fresh)


def _write_index(old: Old, change: Change, rows: _Rows, directory: Path, progress: Progress) -> IndexSpec:
    spec = old.manifest.index
    bundle = Bundle.open(old.directory, verify="size")
    dense = DenseIndex.open(bundle, spec)
    try:
        fresh = _encode(old, change.encoder, rows.fresh, dense, progress)
        with progress.task("index", total=rows.written.passages, unit="vectors") as advance:
            written = index.write_codes(
                _blocks(dense, rows.kept, fresh),
                directory,
                count=rows.written.passages,
                ndim=spec.ndim,
                scale=spec.scale,
                spec=change.recipe.index,
                advance=advance,
            )
        if index.shape(written, directory) != index.shape(spec, old.directory):
            return written
        # How far a search looks was found out with the teacher, which need not be here.
        return replace(written, expansion=spec.expansion)
    finally:
        dense.close()
        bundle.close()


def _encode(
    old: Old, encoder: PassageEncoder | None, contents: Sequence[str], dense: DenseIndex, progress: Progress
) -> NDArray[np.int8] | None:
    """The vectors of the new passages, int8 (n, ndim); None where there are none."""
    if encoder is None or not contents:
        return None
    known = documents.sample(old.directory, SAMPLE)
    encoder.check([passage.content for passage in known.values()], dense.vectors(np.array([*known])))
    with progress.task("vectors", total=len(contents), unit="passages") as advance:
        return encoder.codes(contents, advance)


def _blocks(
    dense: DenseIndex, kept: NDArray[np.int64], fresh: NDArray[np.int8] | None
) -> Iterator[NDArray[np.int8]]:
    """The vectors of all passages in row order, int8 (some, ndim)."""
    done = 0
    for start in range(0, len(kept), index.BLOCK):
        rows = kept[start : start + index.BLOCK]
        new = rows == NEW
        block = dense.vectors(np.where(new, 0, rows))
        if fresh is not None:
            count = int(new.sum())
            block[new] = fresh[done : done + count]
            done += count
        yield block


def _write_words(recipe: Recipe, passages: int, directory: Path, progress: Progress) -> LexicalSpec:
    with progress.task("words", total=passages, unit="passages") as advance:

        def contents() -> Iterator[str]:
            for passage in documents.read(directory):
                yield passage.content
                advance(1)

        return lexical.write(contents(), directory, spec=recipe.lexical)


def _finish(
    old: Old, recipe: Recipe, written: Written, indexes: tuple[IndexSpec, LexicalSpec], directory: Path
) -> None:
    """Writes the golden queries' rows and the manifest."""
    manifest = replace(
        old.manifest,
        version=recipe.version,
        created=stamp.created(),
        compatible=Compatible(runtime=stamp.OLDEST_RUNTIME),
        encoders=tuple(_earlier(spec, old.manifest.version) for spec in old.manifest.encoders),
        index=indexes[0],
        lexical=indexes[1],
        documents=documents.spec_of(written, fields.spec_of(recipe.filters.indexed)),
        files=stamp.files_of(directory),
    )
    _stamp(manifest, directory)  # golden queries are looked up in what can be opened
    golden.find_again(directory)
    _stamp(manifest, directory)
    if manifest.reranker:
        golden_pairs.write(directory)
        _stamp(manifest, directory)


def _stamp(manifest: Manifest, directory: Path) -> None:
    """Writes the manifest with the files as they are now."""
    stamped = replace(manifest, files=stamp.files_of(directory))
    (directory / manifests.FILENAME).write_bytes(manifests.dump(stamped))


def _earlier(spec: EncoderSpec, version: str) -> EncoderSpec:
    """Says of the encoder's quality that it was measured with the documents of `version`, or earlier ones."""
    if spec.quality is None:
        return spec
    return replace(spec, quality=replace(spec.quality, version=spec.quality.version or version))
