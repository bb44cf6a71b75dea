"""Takes away bundles that are neither current nor wanted for a way back, and that nobody has open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime import disk, state
from edge_runtime.errors import StoreError
from edge_runtime.store import arrivals, layout, lock, staging, switch

KEEP = 2
"""The current bundle and the one before it."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One name's bundles, by directory: those `removed`, and those only kept because they are `in_use`.

    Where it cannot be told which one is current, all are kept, and `problem` says why.
    """

    name: str
    removed: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()
    problem: str | None = None


def prune(
    name: str | None = None, *, keep: int = KEEP, wait_seconds: float = lock.WAIT_SECONDS
) -> tuple[Pruned, ...]:
    """Keeps the newest `keep` bundles of a name, or of every name: first the current, then the previous one.

    The way back of a bundle on trial is kept in any case, and what a process has open by name. What broken
    lines have left of bundles that never came to be installed is removed. A name that is broken keeps all
    that it has, and is no other's business.

    Raises:
        StoreError: no bundle has that name, `keep` is not 1 or more, or the store cannot be written.
    """
    if keep < 1:
        raise StoreError(f"keep: expected 1 or more, for the current bundle is always kept; found {keep}")
    with lock.writer(wait_seconds=wait_seconds):
        names = layout.names() if name is None else (name,)
        if name is not None and not layout.installed(name):
            raise StoreError(f"{name}: not installed; edge-runtime status lists what is")
        try:
            staging.clean()
            arrivals.clear_unless_receiving()
            return tuple(_prune_or_keep(each, keep) for each in names)
        except OSError as error:
            where = error.filename or layout.staging().parent
            raise StoreError(f"{where}: cannot be removed ({error.strerror})") from None


def _prune_or_keep(name: str, keep: int) -> Pruned:
    try:
        layout.target(name, layout.CURRENT)
        switch.settle(name)
        return _prune(name, keep)
    except StoreError as error:  # before anything of it was removed
        return Pruned(name, problem=str(error))


def _prune(name: str, keep: int) -> Pruned:
    removed: list[str] = []
    in_use: list[str] = []
    for bundle in _ranked(name)[max(keep, _least(name)) :]:
        directory = layout.folder(name) / bundle
        with lock.unused(directory) as free:
            if free and bundle == layout.usable(name, layout.PREVIOUS):
                disk.remove_file(layout.folder(name) / layout.PREVIOUS)
                disk.sync_directory(layout.folder(name))
            if free:
                staging.discard(directory)
        (removed if free else in_use).append(bundle)
    return Pruned(name, tuple(removed), tuple(in_use))


def _ranked(name: str) -> Sequence[str]:
    """The current one, the previous one, then the others, last written first."""
    links = [layout.target(name, layout.CURRENT), layout.usable(name, layout.PREVIOUS)]
    folder = layout.folder(name)

    def rank(bundle: str) -> tuple[int, float]:
        place = links.index(bundle) if bundle in links else len(links)
        return place, -(folder / bundle).stat().st_mtime

    return sorted(layout.installed(name), key=rank)


def _least(name: str) -> int:
    """Two while the current bundle is on trial: it may have to go back."""
    return 2 if state.readable(name).on_trial(layout.target(name, layout.CURRENT)) else 1
