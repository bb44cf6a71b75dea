"""Replaces a finished bundle directory by a newer one, so that a kill leaves the one or the other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build_tools import record
from build_tools.errors import BuildError
from build_tools.record import Record
from build_tools.workspace import STAGES, sync


def require_room(home: Path, transport: Path) -> None:
    """Looks for what would be in the way in a build folder when all the work is done.

    Raises:
        BuildError: a file has the name of a folder, or the other way round.
    """
    bundle = home / record.BUNDLE
    for path in (bundle, unfinished(bundle), retired(bundle), home / record.CURVES, home / STAGES):
        if os.path.lexists(path) and not path.is_dir():
            raise BuildError(f"{path}: a file is where a folder is to be; move it elsewhere")
    for path in (transport, home / record.FILENAME):
        if path.is_dir():
            raise BuildError(f"{path}: a folder is where a file is to be; move it elsewhere")


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


def unfinished(target: Path) -> Path:
    """What is to be at `target` has this name until it is whole."""
    return target.with_name(target.name + ".new")


def retired(target: Path) -> Path:
    """What is at `target` has this name while it makes room."""
    return target.with_name(target.name + ".old")
