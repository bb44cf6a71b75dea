"""What is timed, and in which order it is asked."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import edge_runtime
from edge_runtime.bench import stopwatch
from edge_runtime.bench.stopwatch import Laps


def test_rounds() -> None:
    """Each round asks every query once; the order changes, and is the same in every run."""
    queries = [str(number) for number in range(20)]
    first, second, again = (list(islice(stopwatch.rounds(queries), 40)) for _ in range(3))
    assert first == second == again
    assert sorted(first[:20]) == sorted(first[20:]) == sorted(queries)
    assert first[:20] != first[20:]


def test_laps_add_up() -> None:
    """Each stage ends where its lap is called; what follows the last one belongs to the whole only."""
    laps = Laps()

    def search() -> None:
        laps.lap("a")
        laps.lap("b")

    for _ in range(3):
        laps.time(search)
    assert list(laps.stages) == ["a", "b"]
    for times in zip(*laps.stages.values(), laps.totals, strict=True):
        assert 0 < times[0] + times[1] <= times[2]


def test_the_warm_up_is_not_measured(bundle: Path) -> None:
    """Whole searches, hybrid when nobody says."""
    with edge_runtime.open(bundle) as retriever:
        laps = stopwatch.measure(retriever, ["yeast", "tide"], n=5, warm_up=3)
    assert len(laps.totals) == 5
    assert {len(times) for times in laps.stages.values()} == {5}
    assert set(laps.stages) == {"tokenize", "encode", "dense", "lexical", "fuse", "fetch"}
