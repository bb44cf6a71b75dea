"""The stages that make the dense index and the word index."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from build_tools import index, lexical
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import Corpus, DocumentVectors, counted
from build_tools.workspace import Workspace
from edge_runtime import __version__, manifest, schema


def build_index(
    recipe: Recipe, documents: DocumentVectors, workspace: Workspace, progress: Progress
) -> tuple[Path, manifest.IndexSpec]:
    """The dense index and what the manifest says of it."""
    stage = workspace.stage("index", __version__, documents.key, recipe.index, version("usearch"))
    path = stage.directory / index.FILENAME
    vectors = documents.vectors
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
            contents = counted(corpus.contents(), advance)
            stage.finish(_plain(lexical.write(contents, stage.directory, spec=recipe.lexical)))
    spec = schema.decode(manifest.LexicalSpec, stage.result)
    progress.say(f"words      {spec.terms:,} terms")
    return stage.directory / spec.path, spec


def _plain(spec: object) -> dict[str, Any]:
    plain = schema.encode(spec)
    assert isinstance(plain, dict)
    return plain
