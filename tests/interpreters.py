"""Other versions of Python on this computer, for the tests that install the wheel into them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ASK = "import sys; print(*sys.version_info[:2], sep='.')"


def find(version: str) -> Path | None:
    """The interpreter of a version such as ``3.10``: one that runs and is of that version, or None.

    A name on the PATH proves nothing: pyenv puts a program of each name there that it has a version for, and
    refuses to run those that are not selected. So its versions are asked, too.
    """
    return next((path for path in _candidates(version) if _version(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    if on_path := shutil.which(name):
        yield Path(on_path)
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    yield from sorted(root.glob(f"versions/*/bin/{name}"))


def _version(path: Path) -> str | None:
    """What it says of itself; None where it does not run."""
    try:
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
