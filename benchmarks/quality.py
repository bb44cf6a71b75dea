r"""Builds and measures the ladder on each data set given, and writes its tables into RESULTS.md.

    python benchmarks/quality.py DIR... [--set KEY.PATH=VALUE]... [--seeds 0,1,2]

Each DIR is a folder in BEIR layout; its name becomes the bundle's, with the seed where that is not the
recipe's. A finished build is found and not repeated, and seeds share the documents' vectors. Another
teacher is another run:

    python benchmarks/quality.py DIR... --recipe bundles/beir-asymmetric.yaml --out build/mpnet \
        --section quality-mpnet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bootstrap
import command
import numpy as np
import per_query
import quality_tables as shown
from numpy.typing import NDArray
from quality_tables import DataSet, Run, Rung
from results import check_section, replace_section
from variants import Variant, curve_of, questions_of

from build_tools import card
from build_tools.build import Built
from build_tools.distill.budget import resolve
from build_tools.distill.curve import best
from build_tools.evaluate import Questions
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from edge_runtime.bundle import read_manifest

PROG = "quality.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every set; the exit status is that of `command.run`."""
    parser = command.parser(PROG, __doc__, section="quality", seeds="the recipe's")
    parser.add_argument("data", nargs="+", type=Path, metavar="DIR", help="a folder in BEIR layout")
    return command.run(PROG, _run, parser.parse_args(argv))


@dataclass(frozen=True, slots=True)
class Plan:
    """One data set and its builds, one a seed."""

    name: str
    variants: tuple[Variant, ...]


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    command.check_folders(options.data)
    plans = [plan(folder, options) for folder in options.data]
    progress = Progress()
    sets = []
    for number, each in enumerate(plans, 1):
        progress.say(f"set        {each.name} ({number} of {len(plans)})")
        sets.append(measure(each, progress))
    body = _body(sets, plans)
    replace_section(options.results, options.section, body)
    print(body)


def plan(folder: Path, options: argparse.Namespace) -> Plan:
    """The builds of one data set. Raises as `command.load`."""
    name = command.name_of(folder)
    overrides = [*options.overrides, f"name={name}"]
    usual = command.load(options.recipe, folder, overrides)
    recipes = [
        usual
        if seed == usual.training.seed
        else command.load(
            options.recipe, folder, [*overrides, f"training.seed={seed}", f"name={name}-seed{seed}"]
        )
        for seed in options.seeds or (usual.training.seed,)
    ]
    return Plan(name, tuple(Variant(recipe, options.out, options.out / name) for recipe in recipes))


def measure(each: Plan, progress: Progress) -> DataSet:
    """Builds one data set with every seed, and compares each rung with the teacher, query by query."""
    built = []
    for variant in each.variants:
        progress.say(f"seed       {variant.recipe.training.seed}")
        built.append(variant.build(progress))
    first, bundle = each.variants[0], built[0].bundle
    questions = questions_of(first.recipe, bundle)
    teacher = first.teacher(bundle, questions, progress)
    differences = {
        spec.id: bootstrap.paired(_over_seeds(built, spec.id, questions, progress), teacher.ndcg)
        for spec in first.recipe.encoders
    }
    runs = [_run_of(one, variant.recipe) for one, variant in zip(built, each.variants, strict=True)]
    documents = read_manifest(bundle).documents.documents
    return DataSet(each.name, teacher.name, documents, tuple(runs), differences)


def _over_seeds(
    built: Sequence[Built], encoder: str, questions: Questions, progress: Progress
) -> NDArray[np.float64]:
    """A rung's nDCG@10 (queries,), each query's mean over the seeds."""
    with progress.task(f"compare {encoder}", total=len(built), unit="bundles") as advance:
        found = []
        for one in built:
            found.append(per_query.of_encoder(one.bundle, encoder, questions))
            advance(1)
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def _run_of(built: Built, recipe: Recipe) -> Run:
    parities = {parity.encoder: parity for parity in built.card.parity}
    rungs = {}
    for spec in recipe.encoders:
        curve = curve_of(built, spec.id)
        rungs[spec.id] = Rung(
            minutes=curve[-1].seconds / 60,
            texts=curve[-1].step * resolve(spec, recipe.training).batch_size,
            teacher_cosine=best(curve).held_out_cosine,
            parity=parities[spec.id],
            bytes=card.size_of(built.bundle, spec.id),
        )
    return Run(built.card, rungs, built.transport.stat().st_size)


def _body(sets: Sequence[DataSet], plans: Sequence[Plan]) -> str:
    seeds = [variant.recipe.training.seed for variant in plans[0].variants]
    return "\n\n".join(
        [
            command.machine(),
            f"Teacher and document tower: {sets[0].teacher}. {command.seeds_shown(seeds)}.",
            "Share of the teacher's nDCG@10 that each rung keeps as it ships, int8 and through the index. "
            "✗ misses the bar, or, on a single set, .95 (static .90):",
            shown.retention(sets),
            "nDCG@10; rungs as they ship, alone and fused with BM25 (hybrid):",
            shown.ndcg(sets),
            "nDCG@10 of each rung minus the teacher's, with the 95 % interval of a paired bootstrap over "
            "queries (10,000 resamples):",
            shown.differences(sets),
            "Minutes of training on this machine; cosine to the teacher on held-out texts, in PyTorch; "
            "cosine of int8 to PyTorch on the same; size of the encoder, in bold rows of the whole bundle:",
            shown.training(sets),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
