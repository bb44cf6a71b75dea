"""What each loss adds on a data set with a train split, and writes the table into RESULTS.md.

    python benchmarks/ablation.py DIR [--cross-encoder FOLDER] [--seeds 0,1,2] [--rows ROW,ROW…]

DIR is a folder in BEIR layout with qrels/train.tsv, such as SciFact. A row is a sum of losses of the recipe
such as ``cosine+contrastive+kl``: cosine and l2 weigh 1, all others --weight, or what is written after a loss
(``cosine+kl=0.3``). The queries of the train split are among the texts of every row but ``unlabelled``,
which is cosine without them. Each row and seed is a build of one rung; they share documents, queries and
the teacher's vectors, and one that is finished is found.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bootstrap
import command
import numpy as np
import per_query
from ablation_rows import BASELINE, CROSS_ENCODER_ROWS, ROWS, Row, positive
from numpy.typing import NDArray
from per_query import TeacherFigures
from results import check_section, replace_section
from tables import listed, markdown, spread
from variants import Variant, curve_of, questions_of

from build_tools.corpus.beir import read_qrels
from build_tools.errors import DataError
from build_tools.progress import Progress
from build_tools.recipe import Recipe

PROG = "ablation.py"
SEEDS = (0, 1, 2)


def main(argv: Sequence[str] | None = None) -> int:
    """Builds and measures every row; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.parser(PROG, __doc__, section="ablation", seeds="0,1,2")
    made.add_argument("data", type=Path, metavar="DIR", help="a folder in BEIR layout with a train split")
    made.add_argument(
        "--cross-encoder",
        type=Path,
        metavar="FOLDER",
        help="such as edge-build train-reranker makes; adds the rows that learn from it",
    )
    made.add_argument("--rows", type=_words, metavar="ROW,ROW…", help="instead of the usual ones")
    made.add_argument("--rung", default="layers3", metavar="ID", help="of the recipe (default: layers3)")
    made.add_argument(
        "--weight",
        type=positive,
        default=0.1,
        help="of losses over candidates (default: 0.1, as their gradients are some ten times as large)",
    )
    return made


def _words(text: str) -> list[str]:
    return text.split(",")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A row and its builds, one a seed."""

    row: Row
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row's builds came to.

    Attributes:
        ndcg: float64 (seeds, queries), nDCG@10 as they ship: int8, through the index.
        minutes: of training, mean over the seeds.
    """

    row: Row
    ndcg: NDArray[np.float64]
    minutes: float

    @property
    def mean(self) -> NDArray[np.float64]:
        """nDCG@10 (queries,), each query's mean over the seeds."""
        mean: NDArray[np.float64] = self.ndcg.mean(axis=0)
        return mean


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    command.check_folders([options.data])
    experiments, progress = plan(options), Progress()
    first = experiments[0].variants[0]
    built = first.build(progress)
    teacher = first.teacher(built.bundle, questions_of(first.recipe, built.bundle), progress)
    outcomes = []
    for number, each in enumerate(experiments, 1):
        progress.say(f"row        {each.row.shown} ({number} of {len(experiments)})")
        outcomes.append(measure(each, progress))
    body = "\n\n".join([_about(options, experiments, teacher), table(outcomes, teacher.ndcg)])
    replace_section(options.results, options.section, body)
    print(body)


def plan(options: argparse.Namespace) -> list[Experiment]:
    """Every row's builds, the baseline's always among them; whatever is wrong shows here, before training.

    Raises:
        DataError: a row, the rung, a split or the cross-encoder is not there.
        RecipeError: the recipe or an override is wrong.
    """
    scorer: Path | None = options.cross_encoder
    if scorer and not (scorer / "config.json").is_file():
        raise DataError(f"{scorer}: no config.json; expected a folder that edge-build train-reranker made")
    texts = options.rows or [*ROWS, *(CROSS_ENCODER_ROWS if scorer else ())]
    rows = {row.name: row for row in (Row.parse(text, weight=options.weight) for text in texts)}
    baseline = Row.parse(BASELINE, weight=options.weight)
    rows = rows if baseline.name in rows else {baseline.name: baseline, **rows}
    return [_experiment(row, options) for row in rows.values()]


def _experiment(row: Row, options: argparse.Namespace) -> Experiment:
    owner = options.out / command.name_of(options.data)
    out = owner.with_name(f"{owner.name}-ablation")
    recipes = [_recipe(row, seed, options) for seed in options.seeds or SEEDS]
    return Experiment(row, tuple(Variant(recipe, out, owner) for recipe in recipes))


def _recipe(row: Row, seed: int, options: argparse.Namespace) -> Recipe:
    overrides = [*options.overrides, f"name={row.name}-seed{seed}", f"training.seed={seed}"]
    recipe = command.load(options.recipe, options.data, [*overrides, *row.overrides(options.cross_encoder)])
    if recipe.queries.labels:
        read_qrels(Path(recipe.queries.labels.path or options.data).expanduser(), recipe.queries.labels.split)
    rungs = {spec.id: spec for spec in recipe.encoders}
    if options.rung not in rungs:
        raise DataError(f"{options.recipe}: no encoder {options.rung!r}; it has {listed(rungs)}")
    return dataclasses.replace(recipe, encoders=(rungs[options.rung],))


def measure(each: Experiment, progress: Progress) -> Outcome:
    """Builds a row with every seed."""
    figures, minutes = [], []
    for variant in each.variants:
        recipe = variant.recipe
        progress.say(f"seed       {recipe.training.seed}")
        built, rung = variant.build(progress), recipe.encoders[0].id
        figures.append(per_query.of_encoder(built.bundle, rung, questions_of(recipe, built.bundle)))
        minutes.append(curve_of(built, rung)[-1].seconds / 60)
    return Outcome(each.row, np.array(figures), statistics.fmean(minutes))


def table(outcomes: Sequence[Outcome], teacher: NDArray[np.float64]) -> str:
    """Rows of losses by figures.

    Args:
        teacher: its nDCG@10 (queries,).
    """
    header = ["losses", "nDCG@10", "of the teacher", "minus the teacher", "minus cosine alone", "minutes"]
    return markdown(header, _rows(outcomes, teacher))


def _rows(outcomes: Sequence[Outcome], teacher: NDArray[np.float64]) -> Iterator[list[str]]:
    yield ["teacher, exact float32", f"{teacher.mean():.3f}", "", "", "", ""]
    baseline = next(each for each in outcomes if each.row == Row({BASELINE: 1.0}))
    for each in outcomes:
        yield [
            each.row.shown,
            spread([float(value) for value in each.ndcg.mean(axis=1)]),
            f"{each.ndcg.mean() / teacher.mean():.3f}",
            str(bootstrap.paired(each.mean, teacher)),
            "" if each is baseline else str(bootstrap.paired(each.mean, baseline.mean)),
            f"{each.minutes:.1f}",
        ]


def _about(options: argparse.Namespace, experiments: Sequence[Experiment], teacher: TeacherFigures) -> str:
    recipes = [variant.recipe for variant in experiments[0].variants]
    split, seeds = recipes[0].evaluation.split, [recipe.training.seed for recipe in recipes]
    return (
        f"{command.machine()}\n\n"
        f"{command.name_of(options.data)}, {len(teacher.ndcg):,} queries of its {split} split; "
        f"{options.rung} as it ships: int8, through the index. Teacher and document tower: {teacher.name}. "
        f"{command.seeds_shown(seeds)}. In brackets the 95 % interval of a paired bootstrap over queries "
        "(10,000 resamples):"
    )


if __name__ == "__main__":
    sys.exit(main())
