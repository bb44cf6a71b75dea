"""The body of the fresh process that `start` measures: open the bundle, search, tell the memory.

It imports nothing that opening a bundle does not import as well, for whatever it holds is counted.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import edge_runtime
from edge_runtime.process import reply

Verification = Literal["full", "size"]


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is asked to do: open, answer the first query, then the others."""

    bundle: str
    encoder: str | None
    threads: int
    verify: Verification
    mode: str
    k: int
    queries: Sequence[str]
    rerank: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process, in bytes; None where the system does not tell.

    Attributes:
        peak: most that was ever resident.
        resident: resident at the end, file pages that it shares with other processes included.
        private: the resident part that no other process maps.
        dirty: the private part that the kernel cannot drop and read again from a file.
    """

    peak: int | None
    resident: int | None
    private: int | None
    dirty: int | None


def main() -> None:
    """Takes a `Task` as JSON on stdin; prints the first hit's key, then answers with a report as JSON."""
    reply(lambda request: _answer(Task(**request)))


def read_memory(proc: Path = Path("/proc/self")) -> Memory:
    """The memory of the process whose directory in /proc is `proc`."""
    status = _kilobytes(proc / "status")
    rollup = _kilobytes(proc / "smaps_rollup")
    clean, dirty = rollup.get("Private_Clean"), rollup.get("Private_Dirty")
    # Not ru_maxrss: it outlives exec, so a child starts with its parent's peak; VmHWM does not.
    return Memory(
        peak=status.get("VmHWM"),
        resident=rollup.get("Rss", status.get("VmRSS")),
        private=None if clean is None or dirty is None else clean + dirty,
        dirty=dirty,
    )


def _answer(task: Task) -> dict[str, Any]:
    opened = edge_runtime.open(task.bundle, encoder=task.encoder, threads=task.threads, verify=task.verify)
    with opened as retriever:
        search: Any = retriever.search  # the mode is plain text here; search itself checks it
        hits = search(task.queries[0], k=task.k, mode=task.mode, rerank=task.rerank)
        print(json.dumps(hits[0].key if hits else None), flush=True)
        answered = time.monotonic_ns()
        for query in task.queries[1:]:
            search(query, k=task.k, mode=task.mode, rerank=task.rerank)
        return {"answered": answered, "memory": asdict(read_memory())}


def _kilobytes(path: Path) -> Mapping[str, int]:
    """The ``Name:  123 kB`` lines of a /proc file, in bytes; empty when there is no such file."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return {}
    found = re.findall(r"^(\w+):\s+([0-9]+) kB$", text, re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}
