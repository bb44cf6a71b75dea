"""The statistics, what they warn of, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import Error
from edge_runtime.bench.report import (
    Latency,
    Report,
    curve,
    from_json,
    samples_needed,
    summarise,
    to_json,
    warnings,
)
from edge_runtime.device import Condition, Device, Throttling

MS = 1_000_000
IDLE = Condition(celsius=None, throttling=None, load=None, available_bytes=None)
NOTHING = Throttling((), ())


def test_summarise_by_hand() -> None:
    """Of 1 to 11 ms the median is the sixth; p95 lies half-way between the tenth and the last."""
    shuffled = [7, 1, 11, 3, 5, 9, 2, 10, 4, 8, 6]
    expected = Latency("encode", n=11, mean=6.0, p50=6.0, p90=10.0, p95=10.5, p99=10.9, max=11.0)
    assert summarise("encode", [value * MS for value in shuffled]) == expected


def test_one_duration_is_every_percentile() -> None:
    """Nanoseconds become milliseconds of four decimals."""
    expected = Latency("total", n=1, mean=1.2346, p50=1.2346, p90=1.2346, p95=1.2346, p99=1.2346, max=1.2346)
    assert summarise("total", [1_234_567]) == expected


def test_curve_by_hand() -> None:
    """101 evenly spaced durations are their own percentiles."""
    assert curve([point * MS for point in reversed(range(101))]) == tuple(map(float, range(101)))


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
@settings(deadline=None, max_examples=50)
def test_curve_agrees_with_the_summary(nanoseconds: list[int]) -> None:
    """It rises from the fastest to the slowest and passes through the percentiles."""
    points, summary = curve(nanoseconds), summarise("total", nanoseconds)
    assert list(points) == sorted(points)
    assert points[0] == round(min(nanoseconds) / MS, 4)
    assert (points[50], points[90], points[95], points[99], points[100]) == (
        *(summary.p50, summary.p90, summary.p95, summary.p99),
        summary.max,
    )


@pytest.mark.parametrize(("percentile", "needed"), [(50, 20), (90, 100), (95, 200), (99, 1000)])
def test_samples_needed(percentile: int, needed: int) -> None:
    """Ten beyond the percentile, and not one sample more."""
    assert samples_needed(percentile) == needed
    assert needed * (100 - percentile) / 100 == 10


def with_searches(report: Report, n: int) -> tuple[str, ...]:
    """What is said of `n` searches on an idle machine with a steady clock."""
    device = replace(report.device, governor="performance")
    return warnings(replace(report.setting, n=n), device, IDLE, IDLE)


@pytest.mark.parametrize(
    ("n", "needs"),
    [
        (1, "1 searches, but p50 needs 20, p90 needs 100, p95 needs 200, p99 needs 1000"),
        (20, "20 searches, but p90 needs 100, p95 needs 200, p99 needs 1000"),
        (999, "999 searches, but p99 needs 1000"),
    ],
)
def test_too_few_searches(report: Report, n: int, needs: str) -> None:
    """The warning names each percentile that the sample cannot support."""
    assert with_searches(report, n) == (f"too small a sample: {needs} (figures marked ~)",)


def test_enough_searches(report: Report) -> None:
    """A thousand support everything that is reported."""
    assert with_searches(report, 1000) == ()


@pytest.mark.parametrize(
    ("load", "cores", "warning"),
    [
        (2.01, 4, ("busy machine: load 2.01 on 4 cores before the run",)),
        (2.0, 4, ()),
        (None, 4, ()),
        (9.0, None, ()),
    ],
)
def test_busy_machine(report: Report, load: float | None, cores: int | None, warning: tuple[str]) -> None:
    """More than half the cores' worth of other work."""
    device = replace(report.device, governor="performance", cores=cores)
    setting = replace(report.setting, n=1000)
    assert warnings(setting, device, replace(IDLE, load=load), replace(IDLE, load=9.0)) == warning


@pytest.mark.parametrize("governor", ["ondemand", "powersave, schedutil"])
def test_a_clock_that_follows_the_load(report: Report, governor: str) -> None:
    """Any governor but performance."""
    device = replace(report.device, governor=governor)
    found = warnings(replace(report.setting, n=1000), device, IDLE, IDLE)
    expected = f"CPU governor {governor}: the clock follows the load; performance gives steadier figures"
    assert found == (expected,)


def throttling(report: Report, before: Throttling | None, after: Throttling | None) -> tuple[str, ...]:
    """What is said of these two readings, with a sample too small as well."""
    device = replace(report.device, governor=None)
    states = (replace(IDLE, throttling=state) for state in (before, after))
    return warnings(replace(report.setting, n=999), device, *states)


def test_throttled_comes_first(report: Report) -> None:
    """Invalid is worse than weak."""
    first, second = throttling(report, NOTHING, Throttling(("throttled",), ("throttled",)))
    assert first == "invalid: throttled (throttled); cool or power the board better and run again"
    assert second.startswith("too small")


def test_throttled_earlier(report: Report) -> None:
    """The firmware's bits since boot hide whether it happened again."""
    earlier = Throttling((), ("under-voltage", "throttled"))
    assert throttling(report, earlier, earlier)[0] == (
        "throttled since boot, before this run (under-voltage, throttled): "
        "whether again during it cannot be told"
    )


@pytest.mark.parametrize("reading", [None, NOTHING])
def test_not_throttled(report: Report, reading: Throttling | None) -> None:
    """Nothing is said where nothing happened or nothing is known."""
    assert len(throttling(report, reading, reading)) == 1


def test_json_round_trip(report: Report) -> None:
    """Every field comes back, those that are unknown too."""
    text = to_json(report)
    assert from_json(text) == report
    assert list(json.loads(text)) == list(Report.__slots__)
    assert json.loads(text)["after"]["load"] is None


def test_json_is_printed_anywhere(report: Report) -> None:
    """Also where standard output is not UTF-8: JSON has escapes of its own."""
    translated = replace(report, warnings=("zu warm: 90 °C",))
    assert to_json(translated).isascii()
    assert from_json(to_json(translated)) == translated


def changed(change: Callable[[Any], object]) -> Callable[[str], str]:
    """A damaged report: `change` works on the parsed JSON."""

    def apply(text: str) -> str:
        record = json.loads(text)
        change(record)
        return json.dumps(record)

    return apply


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda _: "", "Expecting value"),
        (lambda _: "[1]", "the document: expected keys and values; found a list of 1"),
        (lambda _: "[" * 100_000, ""),
        (lambda _: '{"hits": []}', "hits: unknown key"),
        (lambda text: text[:-20], "Expecting"),
        (changed(lambda r: r.pop("total")), "total: missing"),
        (changed(lambda r: r["total"].update(p50="fast")), "total.p50: expected a number; found 'fast'"),
        (changed(lambda r: r["total"].update(p50=np.inf)), "total.p50: expected a finite number; found inf"),
        (changed(lambda r: r["starts"][0].update(verify="none")), "starts.0.verify: expected one of full"),
        (changed(lambda r: r["curve"].pop()), "curve: expected 101 figures; found 100"),
    ],
)
def test_foreign_json(report: Report, damage: Callable[[str], str], problem: str) -> None:
    """One error of ours, which says where."""
    with pytest.raises(Error) as caught:
        from_json(damage(to_json(report)))
    assert str(caught.value).startswith(f"not a benchmark report ({problem}")
    assert str(caught.value).endswith("); expected the output of bench --json")
    assert "\n" not in str(caught.value)


def test_device_survives_unknowns(report: Report) -> None:
    """A machine that tells nothing of itself still makes a report that reads back."""
    bare = Device("x", "x", None, (), None, None, None, None, None, "x", "x", {})
    nowhere = replace(report, device=bare, starts=())
    assert from_json(to_json(nowhere)) == nowhere
