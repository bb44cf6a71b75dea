"""Times searches, stage by stage, on the path that every caller takes: the benchmark's measurement itself."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.question import Mode
    from edge_runtime.retriever import Retriever

Progress = Callable[[str, int, int], object]
"""Called with what is being done, how much of it is done, and how much of it there is."""

_SEED = 1
_PROGRESS_STEPS = 20


class Laps:
    """A stopwatch: nanoseconds of each stage, in the order of first appearance, and of whole searches."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}
        self.totals: list[int] = []
        self._last = 0

    def time(self, search: Callable[[], object]) -> None:
        """Times one search, which calls `lap` at the end of each stage."""
        self._last = began = time.perf_counter_ns()
        search()
        self.totals.append(time.perf_counter_ns() - began)

    def lap(self, stage: str) -> None:
        """Ends a stage; the next begins when this returns, so keeping the time is charged to neither."""
        now = time.perf_counter_ns()
        self.stages.setdefault(stage, []).append(now - self._last)
        self._last = time.perf_counter_ns()


def no_progress(_doing: str, _done: int, _total: int) -> None:
    """A `Progress` for nobody."""
    return


def measure(
    retriever: Retriever,
    queries: Sequence[str],
    *,
    n: int,
    warm_up: int,
    mode: Mode = "hybrid",
    k: int = 10,
    rerank: int | None = None,
    progress: Progress = no_progress,
) -> Laps:
    """Asks the queries one after another, `warm_up` times unmeasured and `n` times measured.

    Garbage collection stays on, as it is for callers, so its pauses are in the tail; only what start-up left
    behind is collected first.

    Raises:
        QueryError: as `Retriever.search`.
    """
    order = rounds(queries)
    search = partial(_ask, retriever, mode=mode, k=k, rerank=rerank, progress=progress)
    search(list(islice(order, warm_up)), doing="warming up")
    gc.collect()
    return search(list(islice(order, n)), doing="searching")


def rounds(queries: Sequence[str]) -> Iterator[str]:
    """The queries for ever, each round in a new order: a fixed order would favour some caches."""
    shuffler = random.Random(_SEED)
    while True:
        yield from shuffler.sample(queries, len(queries))


def _ask(
    retriever: Retriever,
    queries: Sequence[str],
    *,
    mode: Mode,
    k: int,
    rerank: int | None,
    progress: Progress,
    doing: str,
) -> Laps:
    laps = Laps()
    search = partial(retriever.search_in_laps, k=k, mode=mode, rerank=rerank, lap=laps.lap)
    step = max(1, len(queries) // _PROGRESS_STEPS)
    for done, query in enumerate(queries):
        if done % step == 0:
            progress(doing, done, len(queries))
        laps.time(partial(search, query))
    return laps
