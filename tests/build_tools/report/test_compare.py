"""A rung against its teacher: differences, places, the interval of the mean."""

from __future__ import annotations

import numpy as np
import pytest

from build_tools.evaluate import Questions
from build_tools.report.compare import SHOWN, bootstrap, compare

TEXTS = {"q1": "first", "q2": "second", "q3": "third"}
QUESTIONS = Questions("labels", TEXTS, {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1, "d": 0}})
TEACHER = [[("a", 2.0), ("x", 1.0)], [("x", 2.0), ("y", 1.0)], [("d", 2.0), ("c", 1.0)]]
RUNG = [[("x", 2.0), ("a", 1.0)], [("b", 1.0)], [("d", 2.0), ("c", 1.0)]]
SECOND_PLACE = 0.6309
"""nDCG of one relevant document in second place: 1 / log2(3)."""


def test_compare() -> None:
    """One loss, one win, one alike; a document judged irrelevant is not the first relevant."""
    comparison = compare(QUESTIONS, TEACHER, RUNG)
    assert (comparison.better, comparison.equal, comparison.worse) == (1, 1, 1)
    assert comparison.differences == pytest.approx((SECOND_PLACE - 1, 0, 1))
    assert comparison.mean == pytest.approx(SECOND_PLACE / 3)
    [win], [loss] = comparison.wins, comparison.losses
    assert (win.query, win.teacher, win.rung, win.teacher_place, win.rung_place) == ("second", 0, 1, None, 1)
    assert (loss.query, loss.teacher, loss.rung) == ("first", 1, SECOND_PLACE)
    assert (loss.teacher_place, loss.rung_place) == (1, 2)


def test_the_same_answers() -> None:
    """Nothing won or lost, and no doubt about it."""
    comparison = compare(QUESTIONS, TEACHER, TEACHER)
    assert (comparison.wins, comparison.losses) == ((), ())
    assert (comparison.mean, comparison.low, comparison.high) == (0, 0, 0)


def test_only_the_greatest_are_kept() -> None:
    """Worst first among losses; of so many, `SHOWN`."""
    count = SHOWN + 5
    ids = [f"q{number}" for number in range(count)]
    questions = Questions("labels", {i: i for i in ids}, {i: {"a": 1} for i in ids})
    right = [[("a", 1.0)]] * count
    later = [[(f"x{place}", 1.0) for place in range(number % 9)] + [("a", 0.5)] for number in range(count)]
    comparison = compare(questions, right, later)
    assert len(comparison.losses) == SHOWN
    assert comparison.losses[0].rung_place == 9
    drops = [outcome.difference for outcome in comparison.losses]
    assert drops == sorted(drops)
    mirrored = compare(questions, later, right)
    assert [outcome.difference for outcome in mirrored.wins] == [-drop for drop in drops]


def test_bootstrap() -> None:
    """Near the normal interval, and the same every time."""
    values = np.random.default_rng(1).normal(0.1, 0.5, 400)
    half = 1.96 * values.std() / 20
    low, high = bootstrap(values)
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)
    assert bootstrap(values) == (low, high)
