"""Replaces a finished bundle directory by a newer one, so that a kill leaves the one or the other."""

from __future__ import annotations

import shutil
from pathlib import Path

from build_tools.workspace import sync


def swap_in(finished: Path, target: Path) -> None:
    """Makes `finished` the bundle at `target`; programs that have the old one open keep it.

    A directory cannot be replaced by one rename. Between the two here the old bundle has the name
    ``TARGET.old``; an error puts it back, and after a kill `recover` does.
    """
    sync(finished)
    recover(target)
    try:
        if target.exists():
            target.rename(_retired(target))
        finished.rename(target)
    except BaseException:
        recover(target)
        raise
    sync(target.parent)
    shutil.rmtree(_retired(target), ignore_errors=True)


def recover(target: Path) -> None:
    """Puts the old bundle back where an earlier `swap_in` was killed half way, else removes it."""
    retired = _retired(target)
    if retired.exists() and not target.exists():
        retired.rename(target)
    shutil.rmtree(retired, ignore_errors=True)


def _retired(target: Path) -> Path:
    return target.with_name(target.name + ".old")
