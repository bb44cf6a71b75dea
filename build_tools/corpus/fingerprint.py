"""A cheap identity of a corpus' source: which files, how large, when changed. Their content is not read."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from build_tools.corpus import man, man_render, text
from build_tools.recipe import CorpusSpec

_BEIR = (".jsonl", ".tsv")


def of(spec: CorpusSpec) -> str:
    """Changes whenever a file that the source reads is added, removed or written."""
    if spec.source == "python":
        return f"python {platform.python_version()}"
    if spec.source == "man":
        pages = (repr((str(root), _entries(_files(root)))) for root in man.roots_of(spec))
        return "\n".join([man_render.renderer(), *pages])
    root = Path(spec.path or "").expanduser()
    if spec.source == "text":
        return repr(_entries(path for path in text.files(root) if isinstance(path, Path)))
    if spec.source == "beir":
        return repr(_entries(path for path in _files(root) if path.suffix in _BEIR))
    return of_path(str(root))


def of_path(path: str) -> str:
    """The same for one file or folder; empty when nothing is there (a hub name, say)."""
    return repr(_entries(_files(Path(path).expanduser())))


def _files(root: Path) -> Iterator[Path]:
    """A file, or all under a folder but what edge-build has built there."""
    if not root.is_dir():
        yield root
    for folder, folders, names in os.walk(root):
        if Path(folder) != root and text.is_build_folder([*folders, *names]):
            folders.clear()
            continue
        yield from (Path(folder, name) for name in names)


def _entries(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    return sorted(entry for path in paths if (entry := _entry(path)) is not None)


def _entry(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a broken link, or no path at all
        return None
    return str(path), status.st_size, status.st_mtime_ns
