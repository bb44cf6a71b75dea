"""How long a bundle takes to answer, by the benchmark that the device has, on this machine and now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from build_tools.progress import Progress
from build_tools.report.data import Timing
from build_tools.teacher import Teacher
from edge_runtime.bench import latency
from edge_runtime.bench.report import Latency, Report
from edge_runtime.question import Mode

TEACHER_QUERIES, TEACHER_WARM_UP = 30, 3


@dataclass(frozen=True, slots=True)
class RungTimes:
    """Milliseconds of one encoder: its vector alone, and whole searches in two modes."""

    encode: Latency
    dense: Latency
    hybrid: Latency


def measure(
    bundle: Path, encoders: Sequence[str], queries: Sequence[str], *, searches: int, progress: Progress
) -> tuple[Timing, dict[str, RungTimes]]:
    """The bundle's word search, and each of its encoders by id.

    Args:
        searches: timed for each of them; a tenth as many go before.
    """

    def run(mode: Mode, encoder: str) -> Report:
        report = latency.run(
            bundle,
            queries=queries,
            n=searches,
            warm_up=max(1, searches // 10),
            mode=mode,
            encoder=encoder,
            cold_starts=0,
        )
        reports.append(report)
        advance(1)
        return report

    reports: list[Report] = []
    with progress.task("latency", total=1 + 2 * len(encoders), unit="runs") as advance:
        run("lexical", encoders[0])
        rungs = {encoder: _rung(run("dense", encoder), run("hybrid", encoder)) for encoder in encoders}
    return _timing(reports, queries), rungs


def teacher_milliseconds(teacher: Teacher, queries: Sequence[str]) -> float:
    """The median time of one query, text to vector, in PyTorch with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    try:
        for number in range(TEACHER_WARM_UP + TEACHER_QUERIES):
            began = time.perf_counter_ns()
            teacher.encode_queries([queries[number % len(queries)]])
            times.append(time.perf_counter_ns() - began)
    finally:
        torch.set_num_threads(threads)
    return round(median(times[TEACHER_WARM_UP:]) / 1e6, 3)


def _rung(dense: Report, hybrid: Report) -> RungTimes:
    encode = next(stage for stage in dense.stages if stage.name == "encode")
    return RungTimes(encode, dense.total, hybrid.total)


def _timing(reports: Sequence[Report], queries: Sequence[str]) -> Timing:
    words = reports[0]
    machine = words.device
    cores = f"{machine.cores} cores" if machine.cores else None
    return Timing(
        started=words.started,
        machine=", ".join(filter(None, (machine.cpu or machine.machine, cores, machine.os))),
        queries=words.setting.queries,
        searches=words.setting.n,
        words=median(len(query.split()) for query in queries),
        bm25=words.total,
        warnings=_warnings(reports),
    )


def _warnings(reports: Sequence[Report]) -> tuple[str, ...]:
    """The first of each kind. Samples are too small for the 99th percentile, which no report shows."""
    kinds: dict[str, str] = {}
    for warning in (warning for report in reports for warning in report.warnings):
        kinds.setdefault(warning.split(":")[0], warning)
    return tuple(warning for kind, warning in kinds.items() if kind != "too small a sample")
