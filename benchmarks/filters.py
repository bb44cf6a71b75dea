"""What filters cost and find, at four selectivities, and writes the tables into RESULTS.md.

    python benchmarks/filters.py [--passages 100000]

The corpus is made up: vectors in clusters of very different sizes, whose components fade like those of real
encoders' principal axes, and texts of words drawn by Zipf's law; a document a passage. A filter allows
documents drawn by chance, or whole clusters, so that many queries are far from all that it allows. Searches
with a filter and without take turns. Recall is against exact search of the allowed int8 vectors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import command
import numpy as np
from made_up import FIELDS, KINDS, SHARES, Made, make
from numpy.typing import NDArray
from results import check_section, replace_section
from tables import markdown

from build_tools.progress import Progress
from edge_runtime import filters
from edge_runtime.allowed import Allowed
from edge_runtime.dense import DenseIndex
from edge_runtime.errors import Error
from edge_runtime.lexical import LexicalIndex
from edge_runtime.ranking import Ranking
from edge_runtime.selection import Selection

PROG = "filters.py"
COUNTS = (10, 100)

Search = Callable[..., Ranking]


@dataclass(frozen=True, slots=True)
class Timed:
    """One kind of search, over all queries: milliseconds, and the share found of what exact search finds."""

    times: NDArray[np.float64]
    recall: float

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        return float(np.percentile(self.times, percent))


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="filters")
    made.add_argument("--passages", type=int, default=100_000, metavar="N", help="default: 100000")
    made.add_argument("--ndim", type=int, default=384, metavar="N", help="dimensions (default: 384)")
    made.add_argument("-n", type=int, default=300, metavar="N", help="queries (default: 300)")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.passages < 1000 or options.ndim < 8 or options.n < 1:
        raise Error("--passages, --ndim and -n: expected 1000, 8 and 1 or more")
    progress = Progress()
    with tempfile.TemporaryDirectory() as folder:
        progress.say("making the corpus and its indexes")
        made = make(Path(folder), options.passages, options.ndim, options.n)
        progress.say("measuring")
        selecting, searching = _selecting(made), _searching(made)
    body = "\n\n".join([_about(options), selecting, _ABOUT_SEARCH, searching])
    replace_section(options.results, options.section, body)
    print(body)


def _selecting(made: Made) -> str:
    """How long the allowed documents take to be found, each filter by a look-up and by a scan."""
    half = made.passages // 2
    wheres: list[tuple[str, dict[str, Any]]] = [
        *((f"equal, {share:.4g} % allowed", {"chance": name}) for name, share in SHARES.items()),
        ("range over numbers that all differ, 50 % allowed", {"serial": {"lt": half}}),
        ("two conditions and a negation", {"chance": "half", "not": {"serial": {"lt": 100}}}),
    ]
    rows = []
    for name, where in wheres:
        tree = filters.parse(where)
        with made.selection(FIELDS) as indexed, made.selection(()) as scanning:
            by_index, by_scan = (_median(partial(each.select, tree)) for each in (indexed, scanning))
        rows.append([name, f"{by_index:.2f}", f"{by_scan:.0f}"])
    return markdown(["filter", "indexed fields, ms", "other fields, ms"], rows)


def _median(call: Callable[[], object], times: int = 5) -> float:
    """Of a few calls, in milliseconds."""
    return float(np.median([_timed(call)[0] for _ in range(times)]))


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = call()
    return (time.perf_counter() - start) * 1e3, found


def _searching(made: Made) -> str:
    """A row for each index, count and filter."""
    header = ["search", "k", "allowed", "recall", "of all", "p50 ms", "of all", "times", "p99 ms", "of all"]
    header += ["times"]
    with made.selection(FIELDS) as selection:
        chosen = list(_filters(made, selection))
    return markdown(header, _rows(made, chosen))


def _filters(made: Made, selection: Selection) -> Iterator[tuple[str, Allowed]]:
    for field in ("chance", "cluster"):
        for name, share in SHARES.items():
            mask = selection.select(filters.parse({field: name}))
            count = int(mask.sum())
            where = "by chance" if field == "chance" else "whole clusters"
            if count:
                yield f"{share:.4g} %, {where}", Allowed(mask, count, count)


def _rows(made: Made, chosen: Sequence[tuple[str, Allowed]]) -> Iterator[list[str]]:
    for kind in KINDS:
        yield from dense_rows(made, kind, chosen)
    yield from word_rows(made, chosen)


def dense_rows(made: Made, kind: str, chosen: Sequence[tuple[str, Allowed]]) -> Iterator[list[str]]:
    """Of one kind of index."""
    index = DenseIndex.open(*made.indexes[kind])
    for count in COUNTS:
        for name, allowed in chosen:
            index.search(made.queries[0], count, allowed=allowed)  # what is found out once for a filter
            free, filtered = _against(index.search, made.queries, count, allowed, made.recall)
            recalls = f"{filtered.recall:.3f}", f"{free.recall:.3f}"
            yield [kind, str(count), name, *recalls, *_times(filtered, free)]
    index.close()


def word_rows(made: Made, chosen: Sequence[tuple[str, Allowed]]) -> Iterator[list[str]]:
    """Of the words."""
    words = LexicalIndex.open(made.bundle, made.lexical)
    for count in COUNTS:
        for name, allowed in chosen:
            free, filtered = _against(words.search, made.questions, count, allowed)
            yield ["words", str(count), name, "", "", *_times(filtered, free)]
    words.close()


def _times(filtered: Timed, free: Timed) -> list[str]:
    cells = []
    for percent in (50, 99):
        one, other = filtered.percentile(percent), free.percentile(percent)
        cells += [f"{one:.2f}", f"{other:.2f}", f"{one / other:.1f}"]
    return cells


def _against(
    search: Search,
    queries: Sequence[Any],
    count: int,
    allowed: Allowed,
    recall: Callable[[int, Ranking, int, Allowed | None], float] | None = None,
) -> tuple[Timed, Timed]:
    """Every query without the filter and with it, one after the other."""
    times, recalls = np.empty((2, len(queries))), np.ones((2, len(queries)))
    for i, query in enumerate(queries):
        for j, only in enumerate((None, allowed)):
            times[j, i], found = _timed(partial(search, query, count, allowed=only))
            if recall is not None:
                recalls[j, i] = recall(i, found, count, only)
    free, filtered = (Timed(times[j], float(recalls[j].mean())) for j in range(2))
    return free, filtered


def _about(options: argparse.Namespace) -> str:
    return (
        f"{command.machine()}\n\n"
        f"{options.passages:,} made-up passages, {options.ndim} dimensions, {options.n} queries, one thread. "
        "The allowed documents are found in SQLite when a filter is new; the last few filters are remembered:"
    )


_ABOUT_SEARCH = (
    "Then the search itself; `of all` is the same without the filter, taking turns with it, and `times` how "
    "many times as long it takes with it. What is found out of a filter once, at its first search, is left "
    "out. Graphs and product codes look as far as 100 other queries ask for, for a recall of .98:"
)


if __name__ == "__main__":
    sys.exit(main())
