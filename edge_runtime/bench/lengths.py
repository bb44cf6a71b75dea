"""The body of the fresh process that times one encoder alone, by the number of tokens: no text, no index."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from edge_runtime import device_config, encoders, process
from edge_runtime.bundle import Bundle

TOKEN = 2
"""Any that every vocabulary has: what an encoder takes depends on how many there are, not on which."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to time: `n` queries of each of the `lengths`, after `warm_up`, in a bundle that is verified."""

    bundle: str
    encoder: str
    lengths: Sequence[int]
    n: int
    warm_up: int = 20
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """One encoder in one process, in milliseconds.

    Attributes:
        load: imports the engine, maps and prepares the file.
        first: the first query, of the first length.
        queries: all times by length, in the order of the task's lengths.
    """

    load: float
    first: float
    queries: Sequence[Sequence[float]]


def measure(task: Task) -> Timing:
    """Times an encoder in a new process.

    Raises:
        Error: the encoder cannot be used here, or the process died.
    """
    return Timing(**process.call("bench.lengths", asdict(task), about=f"encoder {task.encoder}"))


def main() -> None:
    """Takes a `Task` as JSON on stdin; prints a `Timing` as JSON."""
    process.reply(lambda request: _answer(Task(**request)))


def _answer(task: Task) -> Mapping[str, object]:
    bundle = Bundle.open(task.bundle, verify="size")
    started = time.perf_counter_ns()
    config = replace(device_config.read(), threads=task.threads)
    encoder = encoders.load(bundle, bundle.manifest.encoder(task.encoder), config=config)
    loaded = time.perf_counter_ns()
    encoder.encode([TOKEN] * task.lengths[0])
    first = time.perf_counter_ns()
    queries = [_times(encoder, [TOKEN] * length, task) for length in task.lengths]
    encoder.close()
    bundle.close()
    return asdict(Timing((loaded - started) / 1e6, (first - loaded) / 1e6, queries))


def _times(encoder: encoders.Encoder, ids: Sequence[int], task: Task) -> list[float]:
    for _ in range(task.warm_up):
        encoder.encode(ids)
    times = []
    for _ in range(task.n):
        started = time.perf_counter_ns()
        encoder.encode(ids)
        times.append((time.perf_counter_ns() - started) / 1e6)
    return times
