"""What the latency benchmark found: frozen values, the statistics behind them, and their JSON form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime import schema
from edge_runtime.bench.start import Start
from edge_runtime.device import Condition, Device, throttled_between
from edge_runtime.errors import Error

PERCENTILES = (50, 90, 95, 99)

CURVE_POINTS = 101

SAMPLES_BEYOND = 10
"""A percentile counts as supported when at least so many samples are expected beyond it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The times of one stage, or of whole searches, in milliseconds.

    Percentiles interpolate linearly between order statistics (Hyndman & Fan 1996, type 7: numpy's default).
    """

    name: str
    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Setting:
    """What was run: the bundle, its encoder and the arguments of the benchmark.

    Attributes:
        bytes: of the bundle's files.
        queries: how many different ones were asked, `n` times in all, after `warm_up` unmeasured ones.
        rerank: documents that were reranked in each; None for none.
    """

    bundle: str
    version: str
    documents: int
    passages: int
    bytes: int
    encoder: str
    engine: str
    search: str
    mode: str
    k: int
    threads: int
    queries: int
    n: int
    warm_up: int
    rerank: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the benchmark.

    Attributes:
        started: UTC, ISO 8601.
        valid: False when the clock is known to have been held back; `warnings` says why.
        stages: in the order of a search; `total` is the whole search as its caller sees it, so it is a
            little more than their sum.
        curve: the 0th, 1st … 100th percentile of `total`, for plots.
        queries_per_second: of one caller that asks again as soon as it has its answer.
    """

    started: str
    valid: bool
    warnings: tuple[str, ...]
    setting: Setting
    device: Device
    before: Condition
    after: Condition
    stages: tuple[Latency, ...]
    total: Latency
    queries_per_second: float
    curve: tuple[float, ...]
    starts: tuple[Start, ...]

    def __post_init__(self) -> None:
        if len(self.curve) != CURVE_POINTS:
            raise schema.SchemaError(("curve",), f"expected {CURVE_POINTS} figures; found {len(self.curve)}")


def samples_needed(percentile: int) -> int:
    """The smallest sample that leaves `SAMPLES_BEYOND` beyond a percentile: 20, 100, 200, 1000."""
    return -(-SAMPLES_BEYOND * 100 // (100 - percentile))


def summarise(name: str, nanoseconds: Sequence[int]) -> Latency:
    """The statistics of at least one duration."""
    times = np.asarray(nanoseconds, np.float64) / 1e6
    p50, p90, p95, p99 = np.percentile(times, PERCENTILES)
    return Latency(
        name=name,
        n=len(times),
        mean=_round(times.mean()),
        p50=_round(p50),
        p90=_round(p90),
        p95=_round(p95),
        p99=_round(p99),
        max=_round(times.max()),
    )


def curve(nanoseconds: Sequence[int]) -> tuple[float, ...]:
    """The 101 percentiles from the minimum to the maximum, in milliseconds."""
    values = np.percentile(np.asarray(nanoseconds, np.float64) / 1e6, np.arange(CURVE_POINTS))
    return tuple(_round(value) for value in values)


def warnings(setting: Setting, device: Device, before: Condition, after: Condition) -> tuple[str, ...]:
    """All that makes the figures weaker than they look; what makes them invalid comes first."""
    first, *others = _machine(device, before, after)
    return tuple(warning for warning in (first, _sample(setting), *others) if warning)


def machine_warnings(device: Device, before: Condition, after: Condition) -> tuple[str, ...]:
    """Those of `warnings` that are about the machine and not about the sample."""
    return tuple(warning for warning in _machine(device, before, after) if warning)


def to_json(report: Report) -> str:
    """The report as indented JSON, fields in the order of the dataclasses; `from_json` reads it."""
    return json.dumps(schema.encode(report), indent=2)


def from_json(text: str) -> Report:
    """A report that `to_json` wrote, perhaps on another machine.

    Raises:
        Error: not such a report.
    """
    try:
        return schema.decode(Report, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Error(f"not a benchmark report ({error}); expected the output of bench --json") from None


def _machine(device: Device, before: Condition, after: Condition) -> list[str | None]:
    return [_throttled(before, after), _load(device, before), _governor(device)]


def _throttled(before: Condition, after: Condition) -> str | None:
    reasons = throttled_between(before.throttling, after.throttling)
    if reasons:
        return f"invalid: throttled ({', '.join(reasons)}); cool or power the board better and run again"
    if before.throttling and before.throttling.since_boot:
        earlier = ", ".join(before.throttling.since_boot)
        return f"throttled since boot, before this run ({earlier}): whether again during it cannot be told"
    return None


def _sample(setting: Setting) -> str | None:
    weak = [percentile for percentile in PERCENTILES if setting.n < samples_needed(percentile)]
    if not weak:
        return None
    needs = ", ".join(f"p{percentile} needs {samples_needed(percentile)}" for percentile in weak)
    return f"too small a sample: {setting.n} searches, but {needs} (figures marked ~)"


def _load(device: Device, before: Condition) -> str | None:
    if before.load is None or device.cores is None or before.load <= device.cores / 2:
        return None
    return f"busy machine: load {before.load:.2f} on {device.cores} cores before the run"


def _governor(device: Device) -> str | None:
    if device.governor in (None, "performance"):
        return None
    return f"CPU governor {device.governor}: the clock follows the load; performance gives steadier figures"


def _round(milliseconds: float) -> float:
    return round(float(milliseconds), 4)
