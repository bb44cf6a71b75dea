"""The process that `scale.py` measures: opens a bundle, answers, tells times and memory."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

# What opening a bundle imports and no more: the memory is measured.
import edge_runtime
from edge_runtime.bench.child import read_memory


def main() -> None:
    """Takes a task as JSON on stdin, prints its report as JSON."""
    task = json.load(sys.stdin)
    if task["cgroup"]:
        Path(task["cgroup"], "cgroup.procs").write_text(str(os.getpid()))
    print(json.dumps(_answer(task)))


def _answer(task: dict[str, Any]) -> dict[str, object]:
    """Times in milliseconds, memory in bytes."""
    queries, mode = task["queries"], task["mode"]
    with edge_runtime.open(task["bundle"], encoder=task["encoder"], verify="size") as retriever:
        cold = [_cold(retriever, query, mode) for query in queries[: task["cold"]]]
        _timed(retriever, queries[:50], mode)
        warm = _timed(retriever, queries, mode)
        memory = read_memory()
    return {"warm": warm, "cold": cold, "memory": asdict(memory)}


def _timed(retriever: edge_runtime.Retriever, queries: Sequence[str], mode: Any) -> list[float]:
    times = []
    for query in queries:
        began = time.perf_counter_ns()
        retriever.search(query, mode=mode)
        times.append((time.perf_counter_ns() - began) / 1e6)
    return times


def _cold(retriever: edge_runtime.Retriever, query: str, mode: Any) -> float:
    """With nothing of the bundle in memory but what the process itself has made of it."""
    bundle = retriever._current.parts.bundle  # private: no caller has a reason to slow itself down
    for path, mapping in bundle._maps.items():
        mapping.madvise(4)  # MADV_DONTNEED; the module mmap need not be imported for it
        _drop(bundle.root / path)
    _drop(bundle.root / bundle.manifest.documents.path)
    return _timed(retriever, [query], mode)[0]


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
