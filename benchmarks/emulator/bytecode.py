"""Compiles Python files for the machine ahead of time; emulated, that takes minutes at its first start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PYTHON = "3.11"
"""The Python of Debian 12."""


def compile_files(folder: Path, *, at: str) -> None:
    """Compiles what it can, where this computer's Python writes the machine's bytecode; else does nothing.

    Args:
        at: where the machine will have the folder, for tracebacks.
    """
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != PYTHON:
        return
    # Unchecked: a file system that rounds times, or a clock that is wrong, does not make it stale.
    command = [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    # A package may hold files that are not meant to compile, so the status says nothing.
    subprocess.run([*command, "-s", folder, "-p", at, folder], check=False, capture_output=True)
