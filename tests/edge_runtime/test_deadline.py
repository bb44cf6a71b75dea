"""What a query is given time for, judged by what earlier ones took."""

from __future__ import annotations

import math

import pytest

from edge_runtime.deadline import FIRST_TRIAL, Clock, Pace


def left_out_before_a_trial(pace: Pace, *, left: float = 1.0) -> int:
    """How many queries in a row go without the encoder "big"; up to ten thousand are asked."""
    return next((times for times in range(10_000) if pace.fits("big", 8, left)), 10_000)


def test_what_was_never_measured_fits() -> None:
    """Or nothing would ever be tried."""
    assert Pace().fits("big", 8, 0.001)


def test_all_that_follows_the_encoder_counts() -> None:
    """Search by meaning, fusion and fetching must end in time, too; words were searched before."""
    pace = Pace()
    pace.add_encoding("big", 8, 0.5)
    pace.add("lexical", 9.0)
    assert pace.fits("big", 8, 0.5)
    for stage in ("dense", "fuse", "fetch"):
        pace.add(stage, 0.1)
    assert not pace.fits("big", 8, 0.79)
    assert pace.fits("big", 8, 0.81)


def test_encoders_are_told_apart() -> None:
    """A static table has no part in what a transformer takes."""
    pace = Pace()
    pace.add_encoding("big", 8, 0.5)
    assert not pace.fits("big", 8, 0.1)
    assert pace.fits("static", 8, 0.1)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(1, 0.1), (8, 0.1), (9, 0.4), (16, 0.4), (32, 0.4), (33, 0.8), (64, 0.8), (65, 1.6)],
)
def test_longer_queries_take_longer(tokens: int, expected: float) -> None:
    """Measured at 8 and 32 tokens: a length between costs what the longer does, beyond it in proportion."""
    pace = Pace()
    pace.add_encoding("big", 7, 0.1)
    pace.add_encoding("big", 32, 0.4)
    assert not pace.fits("big", tokens, expected * 0.999)
    assert pace.fits("big", tokens, expected * 1.001)


def test_an_estimate_rises_fast_and_falls_slowly() -> None:
    """One slow query is a warning; one fast query is no promise."""
    pace = Pace()
    for seconds in (0.2, 0.6):
        pace.add_encoding("big", 8, seconds)
    assert not pace.fits("big", 8, 0.399)
    assert pace.fits("big", 8, 0.401)
    pace.add_encoding("big", 8, 0.2)
    assert not pace.fits("big", 8, 0.389)
    assert pace.fits("big", 8, 0.391)


def test_an_encoder_left_out_is_tried_again() -> None:
    """After 64 queries, then twice as many each time: late answers become rare."""
    pace = Pace()
    waited = []
    for _ in range(9):
        pace.add_encoding("big", 8, 5.0)
        waited.append(left_out_before_a_trial(pace))
    assert waited == [63, 127, 255, 511, 1023, 2047, 4095, 4095, 4095]


def test_after_a_trial_its_time_is_what_counts() -> None:
    """A load has passed: the encoder is back at once, and the next trial is as near as the first was."""
    pace = Pace()
    pace.add_encoding("big", 8, 5.0)
    pace.add("dense", 5.0)
    assert left_out_before_a_trial(pace) == FIRST_TRIAL - 1
    pace.add_encoding("big", 8, 0.2)
    pace.add("dense", 0.1)
    assert left_out_before_a_trial(pace) == 0
    pace.add_encoding("big", 8, 50.0)
    assert left_out_before_a_trial(pace) == FIRST_TRIAL - 1


def test_nothing_is_tried_when_no_time_is_left() -> None:
    """A trial may be late, but not by all that it takes."""
    pace = Pace()
    pace.add_encoding("big", 8, 5.0)
    assert left_out_before_a_trial(pace, left=0.0) == 10_000


def test_a_clock_without_a_deadline() -> None:
    """Has all the time there is, and still teaches the pace."""
    pace, seen = Pace(), list[str]()
    clock = Clock(pace, lap=seen.append)
    assert clock.left == math.inf
    assert not clock.limited
    clock.lap("dense")
    clock.lap_encoding("big", 8)
    assert seen == ["dense", "encode"]
    assert not pace.fits("big", 8, 0.0)


def test_a_clock_runs_down() -> None:
    """From the moment that it is made."""
    clock = Clock(Pace(), deadline_ms=60_000)
    first, second = clock.left, clock.left
    assert 0 < second <= first <= 60
    assert clock.limited
    assert Clock(Pace(), deadline_ms=1e-9).left < 0
