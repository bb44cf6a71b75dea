"""The stages that make the dense index and the word index."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from build_tools import index, lexical, tuning
from build_tools.distill.lessons import Lesson
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import Corpus, DocumentVectors, counted
from build_tools.workspace import Stage, Workspace
from edge_runtime import __version__, manifest, schema


def build_index(
    recipe: Recipe,
    documents: DocumentVectors,
    held_out: Lesson,
    workspace: Workspace,
    progress: Progress,
) -> tuple[Path, manifest.IndexSpec]:
    """The dense index and what the manifest says of it.

    Args:
        held_out: queries by which it is found out how far a search has to look.
    """
    vectors = documents.vectors
    by = index.writer(index.strategy(recipe.index, *vectors.shape))
    stage = workspace.stage("index", __version__, documents.key, recipe.index, by, version("scikit-learn"))
    if not stage.done:
        with progress.task("index", total=len(vectors), unit="vectors") as advance:
            stage.finish(_plain(index.write(vectors, stage.directory, spec=recipe.index, advance=advance)))
    written = schema.decode(manifest.IndexSpec, stage.result)
    spec = _tune(written, stage, recipe, documents, held_out, workspace, progress)
    size = sum((stage.directory / path).stat().st_size for path in spec.members)
    how = "" if spec.search == "exact" else f", expansion {spec.expansion}"
    how += "; a device needs edge-runtime[faiss]" if spec.search == "pq" else ""
    progress.say(f"index      {spec.search} int8, {size / 1e6:.1f} MB{how}")
    return stage.directory / spec.path, spec


def _tune(
    spec: manifest.IndexSpec,
    made: Stage,
    recipe: Recipe,
    documents: DocumentVectors,
    held_out: Lesson,
    workspace: Workspace,
    progress: Progress,
) -> manifest.IndexSpec:
    if not tuning.needed(spec, recipe.index):
        return spec
    recall, queries = recipe.gates.index_recall, np.ascontiguousarray(held_out.targets, np.float32)
    stage = workspace.stage("tuning", made.key, recall, hashlib.sha256(queries.tobytes()).hexdigest())
    if not stage.done:
        with progress.task("tuning", total=None, unit="searches") as advance:
            tuned = tuning.tuned(
                spec,
                made.directory,
                documents.vectors,
                queries,
                wanted=recipe.index,
                recall=recall,
                advance=advance,
            )
        stage.finish(_plain(tuned))
    return schema.decode(manifest.IndexSpec, stage.result)


def build_lexical(
    recipe: Recipe, corpus: Corpus, workspace: Workspace, progress: Progress
) -> tuple[Path, manifest.LexicalSpec]:
    """The word index and what the manifest says of it."""
    writer = lexical.writer(recipe.lexical.stemmer)
    stage = workspace.stage("lexical", __version__, corpus.key, recipe.lexical, writer)
    if not stage.done:
        with progress.task("words", total=corpus.passages, unit="passages") as advance:
            contents = counted(corpus.contents(), advance)
            stage.finish(_plain(lexical.write(contents, stage.directory, spec=recipe.lexical)))
    spec = schema.decode(manifest.LexicalSpec, stage.result)
    progress.say(f"words      {spec.terms:,} terms")
    return stage.directory / spec.path, spec


def _plain(spec: object) -> dict[str, Any]:
    plain = schema.encode(spec)
    assert isinstance(plain, dict)
    return plain
