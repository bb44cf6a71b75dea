"""The body of the fresh process that measures one encoder of a bundle for `calibrate`.

Each encoder gets a process of its own: none inherits another's warm caches and memory, and an engine that
crashes, as one built for newer processors does, ends only its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import edge_runtime
from edge_runtime import process
from edge_runtime.bench import stopwatch
from edge_runtime.bench.report import Latency, summarise

START_SECONDS, SEARCH_SECONDS = 600.0, 1.0
"""What a process is given: for opening the bundle, and for each search on top."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure: `n` hybrid searches after `warm_up`, in a bundle that is verified."""

    bundle: str
    encoder: str
    queries: Sequence[str]
    n: int
    warm_up: int


def measure(task: Task) -> Latency:
    """Times whole searches with one encoder, in a new process.

    Raises:
        Error: the encoder cannot be used here, a query cannot, or the process died.
        NoAnswerError: it is slower than a second a search, or hangs.
    """
    limit = START_SECONDS + SEARCH_SECONDS * (task.warm_up + task.n)
    about = f"encoder {task.encoder}"
    return Latency(**process.call("bench.rung", asdict(task), about=about, timeout_seconds=limit))


def main() -> None:
    """Takes a `Task` as JSON on stdin; prints a `Latency` as JSON."""
    process.reply(lambda request: _answer(Task(**request)))


def _answer(task: Task) -> Mapping[str, object]:
    with edge_runtime.open(task.bundle, encoder=task.encoder, verify="size") as retriever:
        laps = stopwatch.measure(retriever, task.queries, n=task.n, warm_up=task.warm_up)
    return asdict(summarise("total", laps.totals))
