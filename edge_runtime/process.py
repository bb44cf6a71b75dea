"""Runs one of our modules in a fresh process and brings back what it answers, or why it could not.

An engine that crashes there, on an instruction that the processor lacks say, does not end this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_runtime import errors
from edge_runtime.errors import DeviceWarning, Error

# In place of the working directory, which -c would search first: the child finds this very package, and no
# file that happens to lie there hides a module.
_CODE = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from importlib import import_module; import_module('edge_runtime.' + sys.argv[2]).main()"
)


class NoAnswerError(Error):
    """The new process took longer than it was given: it may have hung, or only be slow."""


def call(
    module: str, request: Mapping[str, object], *, about: str, timeout_seconds: float = 600.0
) -> dict[str, Any]:
    """Gives `request` as JSON to ``edge_runtime.MODULE.main()``; returns the last line that it prints.

    Args:
        about: what it is done for, to begin an error with.
        timeout_seconds: after these it is killed.

    Raises:
        Error: the one that `reply` told of; or the process died, or what it printed is no answer.
        NoAnswerError: it hung.

    A `DeviceWarning` there is one here as well.
    """
    import subprocess  # not at the top: the new process needs only `reply`, and its memory is measured

    package_parent = str(Path(__file__).resolve().parents[1])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, package_parent, module],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{about}: no answer from a new process in {timeout_seconds:.0f} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise Error(f"{about}: a new process {_ending(done.returncode)}{_last_line(done.stderr)}")
    answer = _parsed(lines[-1])
    if answer is None:
        raise Error(f"{about}: a new process printed what is no answer{_last_line(done.stdout)}")
    for text in answer.pop("warnings", ()):
        warnings.warn(text, DeviceWarning, stacklevel=2)
    if "error" in answer:
        raise getattr(errors, answer["error"], Error)(answer["message"])
    return answer


def reply(answer: Callable[[dict[str, Any]], Mapping[str, object]]) -> None:
    """Prints the answer to the request on stdin, or the error of ours that it gave, for `call`.

    From here on what else prints to standard output, in C too, prints to standard error: C's buffer is
    written as the process ends, after the answer, and would be taken for it.
    """
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeviceWarning)
        try:
            report = dict(answer(json.load(sys.stdin)))
        except Error as error:
            report = {"error": type(error).__name__, "message": str(error)}
    told = [str(each.message) for each in caught if issubclass(each.category, DeviceWarning)]
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        print(json.dumps(report | ({"warnings": told} if told else {})), file=file)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object of a line of JSON; None where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


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
