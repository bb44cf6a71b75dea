"""What a report can be measured from: the bundle, and as much of its build folder as is still there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools import card, quality, record
from build_tools.card import Reference
from build_tools.documents import keys_of
from build_tools.errors import DataError
from build_tools.evaluate import Questions, Ranked, agreement
from build_tools.make import reference_of
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe
from edge_runtime.bench import queries as query_file
from edge_runtime.bundle import read_manifest
from edge_runtime.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Sources:
    """What needs no model.

    Attributes:
        bundle: its directory, every byte checked.
        home: the folder it stands in, the build folder if there is one.
        golden: the bundle's own queries, some of the held-out texts.
        recipe: None where the build folder has none that this version reads.
        judged: the queries behind a card that rests on labels, where they are still there.
    """

    bundle: Path
    home: Path
    manifest: Manifest
    card: QualityCard
    golden: tuple[str, ...]
    recipe: Recipe | None
    judged: Questions | None


@dataclass(frozen=True, slots=True)
class Behind:
    """The models behind a bundle, and what the teacher makes of the texts.

    Attributes:
        held_out: texts that no student learned from; `targets` are the teacher's vectors (n, ndim) of them.
        questions: what the quality card was measured on, with the teacher's ranking for each query, in all of
            its dimensions where the queries are judged; both empty where those are gone.
    """

    reference: Reference
    held_out: tuple[str, ...]
    targets: NDArray[np.float32]
    questions: Questions | None
    rankings: Sequence[Ranked]


def read(bundle: Path) -> Sources:
    """What is known without loading a model.

    Raises:
        edge_runtime.BundleError: not a bundle, or not as it was built.
        BuildError: another version of this package wrote its quality card.
    """
    keys = keys_of(bundle)  # checks every byte
    manifest = read_manifest(bundle)
    home = bundle.resolve().parent
    built = record.read(home)
    measured = quality.read(bundle)
    judged = None
    if built and measured.basis == "labels":
        with record.in_its_directory(built, home):
            judged = _judged(built.recipe, keys)
    golden = query_file.read(bundle / manifest.golden)
    return Sources(bundle, home, manifest, measured, golden, built.recipe if built else None, judged)


def behind(sources: Sources, progress: Progress) -> Behind | None:
    """The models, loaded; None where the build folder is gone or its inputs have changed since.

    Raises:
        BuildError: another build is at work in the folder, or a model is gone.
    """
    reference = reference_of(sources.bundle, progress)
    if reference is None:
        return None
    # A bundle keeps only a few of the held-out texts, as golden queries.
    held_out = tuple(reference.held_out)
    targets = reference.teacher.encode_queries(held_out)
    if sources.card.basis == "teacher":
        count = min(len(held_out), sources.card.queries)
        whole = reference.teacher.tower.encode_queries(held_out[:count])
        rankings = reference.full.rank(whole)  # in all dimensions, as the card has it
        return Behind(reference, held_out, targets, agreement(held_out[:count], rankings), rankings)
    if sources.judged is None:
        return Behind(reference, held_out, targets, None, ())
    vectors = reference.teacher.tower.encode_queries(list(sources.judged.texts.values()))
    return Behind(reference, held_out, targets, sources.judged, reference.full.rank(vectors))


def _judged(recipe: Recipe, keys: Sequence[str]) -> Questions | None:
    """The corpus' own judged queries; None where they are gone, changed or of another corpus."""
    if recipe.corpus.source != "beir" or not recipe.corpus.path:
        return None
    folder = Path(recipe.corpus.path).expanduser()
    try:
        return card.labelled(folder, recipe.evaluation.split, keys, recipe.evaluation.queries)
    except DataError:
        return None
