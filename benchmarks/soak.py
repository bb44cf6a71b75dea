"""Many threads ask one open retriever for a minute: no error, and the answers that one thread gets.

    python benchmarks/soak.py BUNDLE [--threads 32] [--seconds 60] [--encoder ID] [--queries FILE]

Each thread asks in an order of its own, in all three modes. The exit status is 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import command
from results import check_section, replace_section
from tables import markdown

import edge_runtime
from build_tools.progress import Progress
from edge_runtime import Hit, Retriever
from edge_runtime.bench.child import read_memory
from edge_runtime.errors import Error
from edge_runtime.retriever import Mode

PROG = "soak.py"
HEADER = ("threads", "seconds", "searches", "answers that differ", "errors", "MB before", "MB after")
MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
SAME, DIFFERENT = "same", "different"

Question = tuple[str, Mode]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="soak")
    command.add_bundle(made)
    made.add_argument("--threads", type=int, default=32, metavar="N", help="default: 32")
    made.add_argument("--seconds", type=float, default=60.0, metavar="S", help="default: 60")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.threads < 1 or not options.seconds > 0:
        raise Error("--threads and --seconds: expected more than 0")
    queries = command.questions(options)
    with edge_runtime.open(options.bundle, encoder=options.encoder) as retriever:
        info = retriever.info()
        expected = {(query, mode): retriever.search(query, mode=mode) for query in queries for mode in MODES}
        before = read_memory().dirty or 0
        counted = _soak(retriever, expected, options)
        after = read_memory().dirty or 0
    errors = counted.total() - counted[SAME] - counted[DIFFERENT]
    row = [options.threads, f"{options.seconds:g}", f"{counted.total():,}", counted[DIFFERENT], errors]
    table = markdown(HEADER, [[*map(str, row), f"{before / 1e6:.0f}", f"{after / 1e6:.0f}"]])
    about = f"{info.name} {info.version}, {info.passages:,} passages, {info.encoder} on {info.engine}; "
    about += f"{len(queries)} questions. MB are those that the kernel cannot drop:"
    body = f"{command.machine()}\n\n{about}\n\n{table}"
    replace_section(options.results, options.section, body)
    print(body)
    if counted[SAME] < counted.total():
        raise Error(f"not as one thread is answered: {dict(counted)}")


def _soak(
    retriever: Retriever, expected: Mapping[Question, Sequence[Hit]], options: argparse.Namespace
) -> Counter[str]:
    """How many searches gave what was expected, something else, or an error, by its class."""
    ends = time.monotonic() + options.seconds
    with (
        ThreadPoolExecutor(options.threads) as pool,
        Progress().task("asking", total=round(options.seconds), unit="s") as advance,
    ):
        asking = [pool.submit(_ask, retriever, expected, seed, ends) for seed in range(options.threads)]
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            advance(1)
        return sum((one.result() for one in asking), Counter())


def _ask(
    retriever: Retriever, expected: Mapping[Question, Sequence[Hit]], seed: int, ends: float
) -> Counter[str]:
    counted: Counter[str] = Counter()
    order = list(expected)
    random.Random(seed).shuffle(order)
    while time.monotonic() < ends:
        for query, mode in order:
            try:
                found = retriever.search(query, mode=mode)
                counted[SAME if found == expected[query, mode] else DIFFERENT] += 1
            except Exception as error:
                counted[type(error).__name__] += 1
            if time.monotonic() >= ends:
                break
    return counted


if __name__ == "__main__":
    raise SystemExit(main())
