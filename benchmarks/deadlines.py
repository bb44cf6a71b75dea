"""Whether deadlines hold with one query at a time and under load, and what is dropped for them.

    python benchmarks/deadlines.py BUNDLE [--threads 1,4,16] [--deadlines 2,5,10,50] [--encoder ID]

Threads ask one open retriever, each its next question as soon as it has an answer: more load than any device
should have. All of Python's threads share one interpreter, so that many of them make all wait.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import command
import numpy as np
from results import check_section, replace_section
from tables import markdown

import edge_runtime
from build_tools.progress import Progress
from edge_runtime import Retriever
from edge_runtime.bench.stopwatch import rounds
from edge_runtime.errors import Error

PROG = "deadlines.py"
WORDS = "words"
HEADER = ("threads", "deadline ms", "a second", "p50 ms", "p99 ms", "most ms", "late")


@dataclass(frozen=True, slots=True)
class Load:
    """What threads were answered, all together."""

    threads: int
    deadline: float | None
    seconds: float
    milliseconds: list[float]
    answered_by: list[str]

    def row(self) -> list[str]:
        """Cells of the table, but for the encoders' shares."""
        times = np.array(self.milliseconds)
        percentiles = [f"{np.percentile(times, percent):.2f}" for percent in (50, 99)]
        late = "" if self.deadline is None else f"{(times > self.deadline).mean():.2%}"
        shown = "none" if self.deadline is None else f"{self.deadline:g}"
        rate = f"{len(times) / self.seconds:.0f}"
        return [f"{self.threads}", shown, rate, *percentiles, f"{times.max():.1f}", late]

    def share(self, how: str) -> str:
        """Of the queries that this encoder, or words alone, answered."""
        return f"{self.answered_by.count(how) / len(self.milliseconds):.1%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="deadlines")
    command.add_bundle(made)
    made.add_argument("--threads", type=command.seed_numbers, default=(1, 4, 16), metavar="N,N…")
    made.add_argument("--deadlines", type=command.seed_numbers, default=(2, 5, 10, 50), metavar="MS,MS…")
    made.add_argument("-n", type=int, default=4000, metavar="N", help="queries a row (default: 4000)")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.n < 1 or min(*options.threads, *options.deadlines, 1) < 1:
        raise Error("-n, --threads and --deadlines: expected 1 or more")
    questions = command.questions(options)
    with edge_runtime.open(options.bundle, encoder=options.encoder) as retriever:
        retriever.warm_up()
        loads = list(_loads(retriever, questions, options, Progress()))
        answered = {name for load in loads for name in load.answered_by} | {WORDS}
        columns = [name for name in (*retriever.info().encoders, WORDS) if name in answered]
        rows = [[*load.row(), *map(load.share, columns)] for load in loads]
        table = markdown([*HEADER, *columns], rows)
        body = f"{command.machine()}\n\n{_about(retriever, questions, options)}\n\n{table}"
    replace_section(options.results, options.section, body)
    print(body)


def _about(retriever: Retriever, questions: Sequence[str], options: argparse.Namespace) -> str:
    info = retriever.info()
    return (
        f"{info.name} {info.version}, {info.passages:,} passages, {info.encoder} on {info.engine}; hybrid "
        f"search, {len(questions)} questions, {options.n} asked a row. Last columns: the share that each "
        "encoder, or words alone, answered:"
    )


def _loads(
    retriever: Retriever, questions: Sequence[str], options: argparse.Namespace, progress: Progress
) -> Iterator[Load]:
    deadlines = [None, *sorted(options.deadlines, reverse=True)]
    total = len(deadlines) * len(options.threads)
    with progress.task("measuring", total=total, unit="loads") as advance:
        for threads in options.threads:
            for deadline in deadlines:
                yield _put(retriever, questions, threads, options.n, deadline)
                advance(1)


def _put(
    retriever: Retriever, questions: Sequence[str], threads: int, n: int, deadline: float | None
) -> Load:
    milliseconds: list[float] = []
    answered_by: list[str] = []

    def ask(share: int) -> None:
        for query in islice(rounds(questions), share):
            began = time.perf_counter()
            found = retriever.search(query, deadline_ms=deadline)
            milliseconds.append((time.perf_counter() - began) * 1e3)
            answered_by.append(found.encoder or WORDS)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, [-(-n // threads)] * threads))
    return Load(threads, deadline, time.perf_counter() - began, milliseconds, answered_by)


if __name__ == "__main__":
    raise SystemExit(main())
