"""What is installed, in use, and was tried: nothing is changed, and no byte of a bundle is checked."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime import bundle as bundles
from edge_runtime import state
from edge_runtime.errors import BundleError, StoreError
from edge_runtime.state import Event, Trial
from edge_runtime.store import layout, switch


@dataclass(frozen=True, slots=True)
class Kept:
    """An installed bundle. `bytes` are those of its files; None where its manifest is damaged."""

    bundle: str
    version: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """All that the store has of one name.

    Attributes:
        current: the directory's name of the bundle that is in use; None where an install never ended, or for
            the `problem`.
        previous: of the one that `rollback` goes back to.
        trial: of the current bundle; None where it is good.
        bundles: all that are kept, the current one first, then by version, the highest first.
        events: the newest first.
        problem: why what should say which one is in use does not; None if it does.
    """

    name: str
    current: str | None
    previous: str | None
    trial: Trial | None
    bundles: tuple[Kept, ...]
    events: tuple[Event, ...]
    problem: str | None = None


def status(name: str | None = None) -> tuple[Status, ...]:
    """Of one name, or of every name.

    Raises:
        StoreError: no bundle has that name, or the store cannot be read.
    """
    if name is not None and not layout.installed(name):
        raise StoreError(f"{name}: not installed; edge-runtime status lists what is")
    return tuple(_status(each) for each in (layout.names() if name is None else (name,)))


def _status(name: str) -> Status:
    known = state.readable(name)
    current = layout.usable(name, layout.CURRENT)
    kept = [_kept(name, bundle) for bundle in layout.installed(name)]
    kept.sort(key=lambda one: (one.bundle == current, *_by_version(one)), reverse=True)
    return Status(
        name=name,
        current=current,
        previous=switch.way_back(name),
        trial=known.trial_of(current),
        bundles=tuple(kept),
        events=known.events,
        problem=_problem(name),
    )


def _problem(name: str) -> str | None:
    """A link that is none of ours, or leads nowhere."""
    try:
        current = layout.target(name, layout.CURRENT)
    except StoreError as error:
        return str(error)
    if current is None or current in layout.installed(name):
        return None
    return f"{current} is not there; install a bundle again, or go back with edge-runtime rollback"


def _kept(name: str, bundle: str) -> Kept:
    try:
        manifest = bundles.read_manifest(layout.folder(name) / bundle)
        size = sum(entry.size for entry in manifest.files)
    except BundleError:
        size = None
    return Kept(bundle, layout.version(bundle), size)


def _by_version(one: Kept) -> tuple[tuple[int, ...], str]:
    return tuple(map(int, one.version.split("."))), one.bundle
