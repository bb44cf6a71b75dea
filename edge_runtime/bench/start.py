"""How long a fresh process takes to its first answer, and how much memory answering then holds.

Both are taken in new processes (see `child`), so that the benchmark's own imports and arrays do not
count. Measure before this process loads the engine: pages of a library that two processes map are private
to neither.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_runtime import errors
from edge_runtime.bench.child import Memory, Task, Verification
from edge_runtime.errors import Error

_TIMEOUT_SECONDS = 600.0
# In place of the working directory, which -c would search first: the child finds this very package, and no
# file that happens to lie there hides a module.
_CODE = "import sys; sys.path[0] = sys.argv[1]; from edge_runtime.bench import child; child.main()"


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
    package_parent = str(Path(__file__).resolve().parents[2])
    request = json.dumps(asdict(task)).encode()
    spawned = time.monotonic_ns()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, package_parent],
            input=request,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Error(f"{task.bundle}: no answer from a new process in {_TIMEOUT_SECONDS:.0f} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise Error(f"{task.bundle}: a new process {_ending(done.returncode)}{_last_line(done.stderr)}")
    report = json.loads(lines[-1])
    if "error" in report:
        raise getattr(errors, report["error"], Error)(report["message"])
    return (report["answered"] - spawned) / 1e6, Memory(**report["memory"])


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def _median(memories: Sequence[Memory]) -> Memory:
    def middle(name: str) -> int | None:
        values = [value for memory in memories if (value := getattr(memory, name)) is not None]
        return round(statistics.median(values)) if values else None

    return Memory(
        peak=middle("peak"), resident=middle("resident"), private=middle("private"), dirty=middle("dirty")
    )
