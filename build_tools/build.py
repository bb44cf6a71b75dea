"""The whole build of one bundle, or the finding that it stands there already.

OUT/NAME/bundle/               the bundle's directory form
OUT/NAME/NAME-VERSION.edge     its transport form
OUT/NAME/curves/ID.jsonl       each student's learning curve
OUT/NAME/build.yaml            what it was built from, for `edge-build evaluate`, `distill` and `update`
OUT/NAME/reduction.npy         the map to fewer dimensions, where the recipe asks for it; an update needs it
OUT/NAME/stages/               finished stages; safe to delete, slow to make again
OUT/NAME/lock                  held while a build is at work
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from build_tools import quality, record, versions
from build_tools.pack import pack
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE, Record
from build_tools.swap import recover, require_room
from build_tools.workspace import locked
from edge_runtime.bundle import Bundle, sha256
from edge_runtime.errors import Error


@dataclass(frozen=True, slots=True)
class Built:
    """What a build leaves.

    Attributes:
        fresh: False when an earlier build already stood there, unchanged.
    """

    bundle: Path
    transport: Path
    card: QualityCard
    fresh: bool


def build(recipe: Recipe, out: Path, progress: Progress) -> Built:
    """Builds, or finds unchanged, the bundle of a recipe under ``out/NAME``.

    Raises:
        BuildError: a stage could not go on, a gate was missed, or another build is at work there or something
            in the way; finished stages are kept.
    """
    home = out / recipe.name
    with locked(home):
        require_room(home, _transport(recipe, home))
        recover(home / BUNDLE)
        inputs = record.inputs_of(recipe)
        return _unchanged(recipe, home, inputs) or _build(recipe, home, inputs, progress)


def _build(recipe: Recipe, home: Path, inputs: str, progress: Progress) -> Built:
    # Not at the top: an unchanged bundle needs none of the seconds that torch takes to import.
    from build_tools.make import make

    newer = [each for each in versions.made(home, recipe.name) if versions.is_above(each, recipe.version)]
    measured = make(recipe, home, progress)
    transport = pack(home / BUNDLE, _transport(recipe, home))
    record.write(Record(inputs, sha256(transport), recipe, directory=record.here(home)), home)
    if newer:
        hint = "devices that have it refuse an older one; raise `version` in the recipe"
        progress.say(f"version    {recipe.version}, and {newer[0]} was made here before: {hint}")
    return Built(home / BUNDLE, transport, measured, fresh=True)


def _unchanged(recipe: Recipe, home: Path, inputs: str) -> Built | None:
    """The bundle that stands there, if the same inputs made it and its bytes are whole."""
    known, transport = record.read(home), _transport(recipe, home)
    if known is None or known.updated or known.inputs != inputs:
        return None
    if recipe.teacher.ndim is not None and not _has_reduction(home):
        return None
    try:
        Bundle.open(home / BUNDLE).close()
        measured = quality.read(home / BUNDLE)
    except Error:
        return None
    if not transport.is_file() or sha256(transport) != known.transport:
        pack(home / BUNDLE, transport)
    if known.directory != record.here(home):  # an earlier version's record, or the project was moved
        record.write(replace(known, directory=record.here(home)), home)
    return Built(home / BUNDLE, transport, measured, fresh=False)


def _has_reduction(home: Path) -> bool:
    from build_tools.reduction import MATRIX  # loads usearch

    return (home / MATRIX).is_file()


def _transport(recipe: Recipe, home: Path) -> Path:
    return home / f"{recipe.name}-{recipe.version}.edge"
