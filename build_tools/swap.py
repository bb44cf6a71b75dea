"""Replaces a finished bundle directory by a newer one, so that a kill leaves the one or the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build_tools import record
from build_tools.record import Record
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
            target.rename(retired(target))
        finished.rename(target)
    except BaseException:
        recover(target)
        raise
    sync(target.parent)
    shutil.rmtree(retired(target), ignore_errors=True)


def recover(target: Path) -> None:
    """Puts the old bundle back where an earlier `swap_in` was killed half way, else removes it."""
    old = retired(target)
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def nothing_done(draft: Path, transport: Path, built: Record | None) -> Iterator[None]:
    """Leaves no trace of a new version that is interrupted before its draft is in place.

    A transport file that was there before stays.

    Args:
        built: the record that was in the build folder; None where there was none.
    """
    earlier = transport.exists()
    try:
        yield
    except BaseException:
        if draft.exists():
            shutil.rmtree(draft, ignore_errors=True)
            if not earlier:
                transport.unlink(missing_ok=True)
            if built is None:
                (draft.parent / record.FILENAME).unlink(missing_ok=True)
            else:
                record.write(built, draft.parent)
        raise


def retired(target: Path) -> Path:
    """What is at `target` has this name while it makes room."""
    return target.with_name(target.name + ".old")
