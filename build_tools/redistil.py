"""New encoders for a bundle that exists: another version of it, with the same documents and indexes.

The documents are read from the bundle itself, so their source need not be there any more. A device that
has the old version needs only the new encoder's bytes; all other files keep their digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import yaml

from build_tools import recipe_yaml, record, versions
from build_tools.build import Built
from build_tools.errors import BuildError
from build_tools.pack import pack
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE, Record
from build_tools.reduction import Reduction
from build_tools.swap import nothing_done, recover, require_room
from build_tools.workspace import locked
from edge_runtime import manifest as manifests
from edge_runtime import schema
from edge_runtime.bundle import read_manifest, sha256

CHANGEABLE = (
    "version",
    "encoders",
    "queries",
    "training",
    "compile",
    "fusion",
    "reranker",
    "evaluation",
    "golden",
    "gates",
)
"""Sections of the recipe that documents and indexes do not depend on."""


def redistil(bundle: Path, overrides: Sequence[str], progress: Progress) -> Built:
    """Replaces the bundle by a new version whose encoders are made as `overrides` say.

    The recipe is the one that the bundle was built from, in build.yaml beside it. The version rises by
    itself where no override raises it. The old version's transport file stays.

    Raises:
        BuildError: no recipe is known, an override reaches further than the encoders, the version does not
            rise or was made before, or a stage could not go on.
        BundleError: the bundle is damaged.
        RecipeError: an override does not fit.
    """
    from build_tools.make import remake  # loads torch

    home = record.home_of(bundle)
    with ExitStack() as stack:
        stack.enter_context(locked(home))
        recover(home / BUNDLE)
        built, old = record.need(home), read_manifest(home / BUNDLE)
        stack.enter_context(record.in_its_directory(built, home, progress))
        recipe = _recipe(home, built.recipe, old, overrides)
        transport = home / f"{recipe.name}-{recipe.version}.edge"
        require_room(home, transport)
        reduced = built.updated and recipe.teacher.ndim is not None
        # Where the corpus has changed since, no build may take the bundle's documents for it.
        inputs = record.inputs_of(recipe) if built.current else ""
        draft = remake(recipe, home, progress, fitted=Reduction.load(home) if reduced else None)
        with nothing_done(draft.directory, transport, built):
            pack(draft.directory, transport)
            # Without inputs until the bundle is there: were the machine switched off before, a build would
            # else take the old one for this.
            made = Record("", sha256(transport), recipe, built.updated, record.here(home))
            record.write(made, home)
            draft.place()
        record.write(replace(made, inputs=inputs), home)
    return Built(home / BUNDLE, transport, draft.card, fresh=True)


def _recipe(home: Path, built: Recipe, old: manifests.Manifest, overrides: Sequence[str]) -> Recipe:
    text = yaml.safe_dump(schema.encode(built), sort_keys=False, allow_unicode=True).encode()
    recipe = recipe_yaml.parse(text, str(home / record.FILENAME), overrides)
    untouched = recipe.version == built.version and not versions.is_above(recipe.version, old.version)
    asked, made = None if untouched else recipe.version, versions.made(home, recipe.name)
    recipe = replace(recipe, version=versions.rising(asked, old.version, made))
    _check_kept(built, recipe)
    return recipe


def _check_kept(before: Recipe, after: Recipe) -> None:
    changed = [
        name
        for name in schema.field_types(Recipe)
        if name not in CHANGEABLE and getattr(before, name) != getattr(after, name)
    ]
    if changed:
        raise BuildError(
            f"{', '.join(changed)}: documents or indexes depend on it, and distill keeps those; "
            "use edge-build build"
        )
