"""Runs one of our modules in a fresh process and brings back what it answers, or why it could not.

An engine that crashes there, on an instruction that the processor lacks say, does not end this process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime import errors
from edge_runtime.errors import Error

_TIMEOUT_SECONDS = 600.0
# In place of the working directory, which -c would search first: the child finds this very package, and no
# file that happens to lie there hides a module.
_CODE = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from importlib import import_module; import_module('edge_runtime.bench.' + sys.argv[2]).main()"
)


def call(module: str, request: Mapping[str, object], *, about: str) -> dict[str, Any]:
    """Gives `request` as JSON to ``edge_runtime.bench.MODULE.main()``; returns the last line that it prints.

    Args:
        about: what it is done for, to begin an error with.

    Raises:
        Error: the one that `child.reply` told of; or the process died or hung.
    """
    package_parent = str(Path(__file__).resolve().parents[2])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, package_parent, module],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Error(f"{about}: no answer from a new process in {_TIMEOUT_SECONDS:.0f} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise Error(f"{about}: a new process {_ending(done.returncode)}{_last_line(done.stderr)}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "error" in answer:
        raise getattr(errors, answer["error"], Error)(answer["message"])
    return answer


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
