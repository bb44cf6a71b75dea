"""What quality.py measured, as values, and its four tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bootstrap import Interval
from tables import markdown, spread

from build_tools.quality import THROUGH_INDEX, Parity, QualityCard, Row

TEACHER = "teacher, exact float32"
MISSED = " ✗"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a rung should keep of the teacher's nDCG@10: on the mean of the sets, and on each of them."""

    mean: float
    each: float


BARS = {
    "layers6": Bar(0.995, 0.95),
    "layers3": Bar(0.985, 0.95),
    "layers2": Bar(0.97, 0.95),
    "static": Bar(0.95, 0.90),
}


@dataclass(frozen=True, slots=True)
class Rung:
    """One encoder of one build.

    Attributes:
        minutes: of training.
        texts: passed through it in training, repeated ones too.
        teacher_cosine: mean cosine to the teacher's vectors of held-out text, before it is compiled.
        bytes: of its own files, without the tokenizer.
    """

    minutes: float
    texts: int
    teacher_cosine: float
    parity: Parity
    bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One build. `rungs` are in the recipe's order; `bytes` are those of the transport file."""

    card: QualityCard
    rungs: Mapping[str, Rung]
    bytes: int


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set.

    Attributes:
        teacher: its name.
        runs: one a seed.
        differences: of each rung's nDCG@10, mean over the seeds, to the teacher's, over queries.
    """

    name: str
    teacher: str
    documents: int
    runs: tuple[Run, ...]
    differences: Mapping[str, Interval]

    @property
    def rungs(self) -> list[str]:
        """Ids, in the recipe's order."""
        return list(self.runs[0].rungs)

    def figures(self, system: str, figure: Callable[[Row], float | None]) -> list[float]:
        """A figure of a system's row, one a seed; none where the card has no such row."""
        found = (figure(row) for run in self.runs for row in run.card.rows if row.system == system)
        return [value for value in found if value is not None]

    def retention(self, rung: str) -> list[float]:
        """The share of the teacher's nDCG@10 that a rung keeps as it ships, one a seed."""
        return self.figures(f"{rung}, {THROUGH_INDEX}", lambda row: row.retention)


def retention(sets: Sequence[DataSet]) -> str:
    """Rungs by sets: retention, with the bars that are missed marked."""
    header = ["rung", *(each.name for each in sets), "mean", "bar"]
    return markdown(header, (_retention_row(sets, rung) for rung in sets[0].rungs))


def ndcg(sets: Sequence[DataSet]) -> str:
    """Systems by sets: nDCG@10, mean over the seeds."""
    systems = {"BM25": "BM25", TEACHER: TEACHER}
    reduced = (row.system for row in sets[0].runs[0].card.rows if row.system.startswith("teacher, "))
    systems |= {system: system for system in reduced}
    systems |= {rung: f"{rung}, {THROUGH_INDEX}" for rung in sets[0].rungs}
    systems |= {f"{rung}, hybrid": f"{rung}, hybrid" for rung in sets[0].rungs}
    rows = [[shown, *(_mean_ndcg(each, system) for each in sets)] for shown, system in systems.items()]
    return markdown(["system", *(each.name for each in sets)], rows)


def differences(sets: Sequence[DataSet]) -> str:
    """Rungs by sets: difference to the teacher's nDCG@10 with its interval."""
    rows = [[rung, *(str(each.differences[rung]) for each in sets)] for rung in sets[0].rungs]
    return markdown(["rung", *(each.name for each in sets)], rows)


def training(sets: Sequence[DataSet]) -> str:
    """Sets and their rungs: what training took, what int8 and the index lost, and sizes."""
    header = [
        "set, rung",
        "minutes",
        "texts seen",
        "cosine to the teacher",
        "int8 cosine, mean",
        "least",
        "MB",
        "index recall@10",
        "documents",
        "queries",
    ]
    return markdown(header, (row for each in sets for row in _training_rows(each)))


def _retention_row(sets: Sequence[DataSet], rung: str) -> list[str]:
    bar, by_set = BARS.get(rung), [each.retention(rung) for each in sets]
    means = [statistics.fmean(seeds) for seeds in zip(*by_set, strict=True)]
    return [
        rung,
        *(_against(values, bar.each if bar else None) for values in by_set),
        _against(means, bar.mean if bar else None),
        f"{bar.mean:.3f}" if bar else "",
    ]


def _against(values: Sequence[float], least: float | None) -> str:
    missed = least is not None and not statistics.fmean(values) >= least
    return spread(values) + (MISSED if missed else "")


def _mean_ndcg(each: DataSet, system: str) -> str:
    return f"{statistics.fmean(each.figures(system, lambda row: row.ndcg_10)):.3f}"


def _training_rows(each: DataSet) -> Iterator[list[str]]:
    card = each.runs[0].card
    recalls = [run.card.index_recall for run in each.runs if run.card.index_recall is not None]
    yield [
        f"**{each.name}**",
        *[""] * 5,
        f"{_mean(run.bytes for run in each.runs) / 1e6:.1f}",
        f"{_mean(recalls):.4f}",
        f"{each.documents:,}",
        f"{card.queries:,}",
    ]
    for rung in each.rungs:
        built = [run.rungs[rung] for run in each.runs]
        yield [
            rung,
            f"{_mean(one.minutes for one in built):.1f}",
            f"{_mean(one.texts for one in built):,.0f}",
            f"{_mean(one.teacher_cosine for one in built):.4f}",
            f"{_mean(one.parity.cosine_mean for one in built):.4f}",
            f"{min(one.parity.cosine_min for one in built):.4f}",
            f"{_mean(one.bytes for one in built) / 1e6:.1f}",
            *[""] * 3,
        ]


def _mean(values: Iterator[float] | Sequence[float]) -> float:
    return statistics.fmean(values)
