"""The latency benchmark: every stage of a search, whole searches, the start of a process, and memory.

``edge-runtime bench`` and ``benchmarks/latency.py`` are this code. Queries are asked one after another on
the path that every caller takes (see `stopwatch`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, get_args

import edge_runtime
from edge_runtime import device, device_config
from edge_runtime.bench import queries as query_file
from edge_runtime.bench import report as reports
from edge_runtime.bench import start as processes
from edge_runtime.bench import stopwatch
from edge_runtime.bench.child import Task
from edge_runtime.bench.report import Report, Setting
from edge_runtime.bench.start import Start
from edge_runtime.bench.stopwatch import Progress
from edge_runtime.bundle import Bundle, Verification, read_manifest
from edge_runtime.question import rerank_depth

if TYPE_CHECKING:
    from edge_runtime.question import Mode
    from edge_runtime.retriever import Retriever

_MEMORY_QUERIES = 50


@dataclass(frozen=True, slots=True)
class _Plan:
    """The arguments of `run`, checked."""

    bundle: str
    queries: tuple[str, ...]
    n: int
    warm_up: int
    mode: Mode
    k: int
    encoder: str | None
    threads: int
    cold_starts: int
    rerank: int | None

    def __post_init__(self) -> None:
        query_file.check_count("n", self.n, least=1)
        query_file.check_count("warm-up", self.warm_up, least=0)
        query_file.check_count("cold starts", self.cold_starts, least=0)


def run(
    bundle_path: str | os.PathLike[str],
    *,
    queries: Sequence[str] | None = None,
    n: int = 1000,
    warm_up: int = 50,
    mode: Mode = "hybrid",
    k: int = 10,
    rerank: bool | int | None = None,
    encoder: str | None = None,
    threads: int | None = None,
    cold_starts: int = 5,
    progress: Progress | None = None,
) -> Report:
    """Measures a bundle on this machine.

    Args:
        bundle_path: the bundle's directory.
        queries: asked again and again, each round in another order (the same in every run); the bundle's
            golden queries when None.
        n: searches that are measured.
        warm_up: searches before those.
        mode: as for `Retriever.search`, like `k` and `rerank`.
        encoder: as for `edge_runtime.open`, like `threads`.
        cold_starts: new processes for each of the two ways to open a bundle; 0 leaves them out.
        progress: told from time to time how far the run is.

    Raises:
        Error: the bundle, its engine, a query or an argument cannot be used.
    """
    plan = _Plan(
        bundle=os.fspath(bundle_path),
        queries=query_file.checked(queries) if queries is not None else _golden(bundle_path),
        n=n,
        warm_up=warm_up,
        mode=mode,
        k=k,
        encoder=encoder,
        threads=device_config.read().threads if threads is None else threads,
        cold_starts=cold_starts,
        rerank=rerank_depth(rerank, read_manifest(bundle_path)) or None,
    )
    return _run(plan, progress or stopwatch.no_progress)


def run_from(args: argparse.Namespace, *, progress: Progress | None = None) -> Report:
    """`run` with the arguments that `add_arguments` defined.

    Raises:
        Error: as `run`, or the query file cannot be used.
    """
    return run(
        args.bundle,
        queries=None if args.queries is None else query_file.read(args.queries),
        n=args.n,
        warm_up=args.warm_up,
        mode=args.mode,
        k=args.k,
        rerank=args.rerank,
        encoder=args.encoder,
        threads=args.threads,
        cold_starts=args.cold_starts,
        progress=progress,
    )


def _run(plan: _Plan, progress: Progress) -> Report:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    machine, before = device.describe(), device.condition()
    starts = _starts(plan, progress)  # before this process maps the engine, see `start`
    retriever = edge_runtime.open(plan.bundle, encoder=plan.encoder, threads=plan.threads, verify="full")
    with retriever:
        laps = stopwatch.measure(
            retriever,
            plan.queries,
            n=plan.n,
            warm_up=plan.warm_up,
            mode=plan.mode,
            k=plan.k,
            rerank=plan.rerank,
            progress=progress,
        )
        setting = _setting(retriever, plan)
    after = device.condition()
    total = reports.summarise("total", laps.totals)
    return Report(
        started=started,
        valid=not device.throttled_between(before.throttling, after.throttling),
        warnings=reports.warnings(setting, machine, before, after),
        setting=setting,
        device=machine,
        before=before,
        after=after,
        stages=tuple(reports.summarise(name, times) for name, times in laps.stages.items()),
        total=total,
        queries_per_second=round(len(laps.totals) / sum(laps.totals) * 1e9, 2),
        curve=reports.curve(laps.totals),
        starts=starts,
    )


def _starts(plan: _Plan, progress: Progress) -> tuple[Start, ...]:
    if plan.cold_starts == 0:
        return ()
    starts = []
    for done, verify in enumerate(get_args(Verification)):
        progress("starting processes", done * plan.cold_starts, 2 * plan.cold_starts)
        task = Task(
            bundle=plan.bundle,
            encoder=plan.encoder,
            threads=plan.threads,
            verify=verify,
            mode=plan.mode,
            k=plan.k,
            queries=plan.queries[:_MEMORY_QUERIES],
            rerank=plan.rerank,
        )
        starts.append(processes.measure(task, times=plan.cold_starts))
    return tuple(starts)


def _setting(retriever: Retriever, plan: _Plan) -> Setting:
    info = retriever.info()
    return Setting(
        bundle=info.name,
        version=info.version,
        documents=info.documents,
        passages=info.passages,
        bytes=info.bytes,
        encoder=info.encoder,
        engine=info.engine,
        search=info.search,
        mode=plan.mode,
        k=plan.k,
        threads=plan.threads,
        queries=len(set(plan.queries)),
        n=plan.n,
        warm_up=plan.warm_up,
        rerank=plan.rerank,
    )


def _golden(bundle_path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The bundle's own queries, whose bytes are checked before they are read."""
    bundle = Bundle.open(bundle_path)
    try:
        return query_file.golden(bundle)
    finally:
        bundle.close()
