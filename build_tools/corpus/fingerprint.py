"""A cheap identity of a corpus' source: which files, how large, when changed. Their content is not read."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from build_tools.recipe import CorpusSpec

MANUAL_ROOTS = ("/usr/share/man", "/usr/local/share/man")


def of(spec: CorpusSpec) -> str:
    """Changes whenever a file of the source is added, removed or written."""
    if spec.source == "python":
        return f"python {platform.python_version()}"
    return "\n".join(of_path(root) for root in ([spec.path] if spec.path else MANUAL_ROOTS))


def of_path(path: str) -> str:
    """The same for one file or folder; empty when nothing is there (a hub name, say)."""
    return repr(_entries(Path(path).expanduser()))


def _entries(root: Path) -> list[tuple[str, int, int]]:
    if not root.is_dir():
        return [_entry(root)] if root.exists() else []
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sorted(_entry(path) for path in paths if path.is_file())


def _entry(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
