"""How long a fresh process takes to its first answer, and how much memory answering then holds.

Both are taken in new processes (see `child`), so that the benchmark's own imports and arrays do not
count. Measure before this process loads the engine: pages of a library that two processes map are private
to neither.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from edge_runtime import process
from edge_runtime.bench.child import Memory, Task, Verification


@dataclass(frozen=True, slots=True)
class Start:
    """Several fresh processes, each from its spawning to its first answer printed, in milliseconds.

    The bundle's files are in the page cache: this is a program's start, not the machine's.

    Attributes:
        verify: what opening checked: every byte or only the sizes.
        n: how many processes.
        queries: how many each had answered when its memory was read.
        memory: medians over the processes.
    """

    verify: Verification
    n: int
    median: float
    min: float
    max: float
    queries: int
    memory: Memory


def measure(task: Task, *, times: int) -> Start:
    """Starts `times` processes, at least one, each after the other has ended.

    Raises:
        Error: whatever the child's `edge_runtime.open` or `search` raised; or the child died or hung.
    """
    runs = [_spawn(task) for _ in range(times)]
    elapsed = [milliseconds for milliseconds, _ in runs]
    return Start(
        verify=task.verify,
        n=times,
        median=round(statistics.median(elapsed), 1),
        min=round(min(elapsed), 1),
        max=round(max(elapsed), 1),
        queries=len(task.queries),
        memory=_median([memory for _, memory in runs]),
    )


def _spawn(task: Task) -> tuple[float, Memory]:
    """Milliseconds to the first answer, and memory. CLOCK_MONOTONIC is one clock for all processes."""
    spawned = time.monotonic_ns()
    report = process.call("bench.child", asdict(task), about=task.bundle)
    return (report["answered"] - spawned) / 1e6, Memory(**report["memory"])


def _median(memories: Sequence[Memory]) -> Memory:
    def middle(name: str) -> int | None:
        values = [value for memory in memories if (value := getattr(memory, name)) is not None]
        return round(statistics.median(values)) if values else None

    return Memory(
        peak=middle("peak"), resident=middle("resident"), private=middle("private"), dirty=middle("dirty")
    )
