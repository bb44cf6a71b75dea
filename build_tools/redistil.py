"""New encoders for a bundle that exists: another version of it, with the same documents and indexes.

The documents are read from the bundle itself, so their source need not be there any more. A device that
has the old version needs only the new encoder's bytes; all other files keep their digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from build_tools import recipe_yaml, record
from build_tools.build import Built
from build_tools.errors import BuildError
from build_tools.pack import pack
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE, Record
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
            rise, or a stage could not go on.
        BundleError: the bundle is damaged.
        RecipeError: an override does not fit.
    """
    from build_tools.make import remake  # loads torch

    old = read_manifest(bundle)
    if bundle.resolve().name != BUNDLE:
        raise BuildError(f"{bundle}: expected a bundle in its build folder, named {BUNDLE}")
    home = bundle.resolve().parent
    with locked(home):
        recipe = _recipe(home, old, overrides)
        card = remake(recipe, home, progress)
        transport = pack(home / BUNDLE, home / f"{recipe.name}-{recipe.version}.edge")
        record.write(Record(record.inputs_of(recipe), sha256(transport), recipe), home)
    return Built(home / BUNDLE, transport, card, fresh=True)


def _recipe(home: Path, old: manifests.Manifest, overrides: Sequence[str]) -> Recipe:
    built = record.read(home)
    if built is None:
        raise BuildError(
            f"{home}: has no {record.FILENAME} that this version can read, so nobody knows what the bundle "
            "was made from; build it anew with edge-build build"
        )
    text = yaml.safe_dump(schema.encode(built.recipe), sort_keys=False, allow_unicode=True).encode()
    recipe = recipe_yaml.parse(text, str(home / record.FILENAME), overrides)
    if _numbers(recipe.version) <= _numbers(old.version):
        if recipe.version != built.recipe.version:
            raise BuildError(f"version {recipe.version}: expected more than {old.version}, the bundle's own")
        recipe = replace(recipe, version=_next(old.version))
    _check_kept(built.recipe, recipe)
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


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _next(version: str) -> str:
    *front, last = _numbers(version)
    return ".".join(map(str, (*front, last + 1)))
