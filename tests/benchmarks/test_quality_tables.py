"""The tables of the ladder, of figures that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest

from build_tools.quality import Parity, QualityCard, Row

Script = Callable[[str], ModuleType]

TEACHER = 0.5


def row(system: str, ndcg: float, *, student: bool = True) -> Row:
    """A row of the card."""
    return Row(system, ndcg, 0, 0, 0, retention=ndcg / TEACHER if student else None)


def card(ndcg: dict[str, float], recall: float) -> QualityCard:
    """A card of these rungs; hybrid is .1 above."""
    rows = [row("BM25", 0.4, student=False), row("teacher, exact float32", TEACHER, student=False)]
    for rung, value in ndcg.items():
        rows += [row(f"{rung}, exact float32", 0.1), row(f"{rung}, int8, index", value)]
        rows.append(row(f"{rung}, hybrid", value + 0.1))
    return QualityCard("labels", 1234, tuple(rows), (), recall)


@pytest.fixture
def sets(script: Script) -> Callable[..., list[Any]]:
    """Data sets by the nDCG@10 of each rung, one a seed."""
    tables, interval = script("quality_tables"), script("bootstrap").Interval

    def rung(name: str, seed: int) -> Any:
        parity = Parity(name, 500, 0.995 + seed / 1000, 0.98 + seed / 100)
        return tables.Rung(6 + seed, 64000, 0.9 + seed / 10, parity, 22_500_000)

    def make(figures: Sequence[dict[str, Sequence[float]]]) -> list[Any]:
        made = []
        for number, ndcg in enumerate(figures):
            runs = [
                tables.Run(
                    card({name: values[seed] for name, values in ndcg.items()}, 0.99 + seed / 1000),
                    {name: rung(name, seed) for name in ndcg},
                    40_000_000,
                )
                for seed in range(len(next(iter(ndcg.values()))))
            ]
            differences = {name: interval(-0.01, -0.02, 0.005) for name in ndcg}
            made.append(tables.DataSet(f"set{number}", "a-teacher", 5183, tuple(runs), differences))
        return made

    return make


def test_retention(script: Script, sets: Callable[..., list[Any]]) -> None:
    """Each set, the mean over the sets of each seed, and what misses its bar; another id has none."""
    figures = [
        {"static": [0.47, 0.49], "layers2": [0.485, 0.485], "other": [0.1, 0.1]},
        {"static": [0.44, 0.44], "layers2": [0.485, 0.485], "other": [0.1, 0.1]},
    ]
    assert script("quality_tables").retention(sets(figures)).splitlines() == [
        "| rung | set0 | set1 | mean | bar |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| static | 0.960 ± 0.028 | 0.880 ± 0.000 ✗ | 0.920 ± 0.014 ✗ | 0.950 |",
        "| layers2 | 0.970 ± 0.000 | 0.970 ± 0.000 | 0.970 ± 0.000 | 0.970 |",
        "| other | 0.200 ± 0.000 | 0.200 ± 0.000 | 0.200 ± 0.000 |  |",
    ]


@pytest.mark.parametrize(
    ("rung", "kept", "each", "mean"),
    [
        ("layers6", 0.995, "0.995", "0.995"),
        ("layers6", 0.994, "0.994", "0.994 ✗"),
        ("layers3", 0.985, "0.985", "0.985"),
        ("layers3", 0.984, "0.984", "0.984 ✗"),
        ("layers2", 0.949, "0.949 ✗", "0.949 ✗"),
        ("static", 0.95, "0.950", "0.950"),
        ("static", 0.9, "0.900", "0.900 ✗"),
        ("static", 0.899, "0.899 ✗", "0.899 ✗"),
    ],
)
def test_bars(
    script: Script, sets: Callable[..., list[Any]], rung: str, kept: float, each: str, mean: str
) -> None:
    """Those of the mean, and of a single set; what is just reached is reached."""
    last = script("quality_tables").retention(sets([{rung: [kept * TEACHER]}])).splitlines()[-1]
    bar = script("quality_tables").BARS[rung].mean
    assert last == f"| {rung} | {each} | {mean} | {bar:.3f} |"


def test_ndcg(script: Script, sets: Callable[..., list[Any]]) -> None:
    """Means over the seeds, every rung alone and then in hybrid."""
    figures = [{"static": [0.47, 0.49], "layers2": [0.5, 0.5]}, {"static": [0.4, 0.4], "layers2": [0.6, 0.6]}]
    assert script("quality_tables").ndcg(sets(figures)).splitlines()[2:] == [
        "| BM25 | 0.400 | 0.400 |",
        "| teacher, exact float32 | 0.500 | 0.500 |",
        "| static | 0.480 | 0.400 |",
        "| layers2 | 0.500 | 0.600 |",
        "| static, hybrid | 0.580 | 0.500 |",
        "| layers2, hybrid | 0.600 | 0.700 |",
    ]


def test_ndcg_of_a_reduced_teacher(script: Script, sets: Callable[..., list[Any]]) -> None:
    """What fewer dimensions lose before any student does."""
    found = sets([{"static": [0.4]}])
    rows = found[0].runs[0].card.rows
    object.__setattr__(found[0].runs[0].card, "rows", (*rows, row("teacher, 384 dimensions", 0.48)))
    lines = script("quality_tables").ndcg(found).splitlines()
    assert lines[3:5] == ["| teacher, exact float32 | 0.500 |", "| teacher, 384 dimensions | 0.480 |"]


def test_differences(script: Script, sets: Callable[..., list[Any]]) -> None:
    """With their intervals."""
    assert script("quality_tables").differences(sets([{"static": [0.4]}] * 2)).splitlines() == [
        "| rung | set0 | set1 |",
        "| --- | ---: | ---: |",
        "| static | -0.010 [-0.020, +0.005] | -0.010 [-0.020, +0.005] |",
    ]


def test_training(script: Script, sets: Callable[..., list[Any]]) -> None:
    """Means over the seeds, but the least cosine of all; the whole bundle in a row of its own."""
    found = script("quality_tables").training(sets([{"static": [0.4, 0.4]}])).splitlines()
    assert found[2:] == [
        "| **set0** |  |  |  |  |  | 40.0 | 0.9905 | 5,183 | 1,234 |",
        "| static | 6.5 | 64,000 | 0.9500 | 0.9955 | 0.9800 | 22.5 |  |  |  |",
    ]
