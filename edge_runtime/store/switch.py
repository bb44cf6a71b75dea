"""Which bundle a name stands for: changed by one rename of one link, and written down.

A trial is written before the link, beside that of the bundle before, where it concerns nobody yet: it counts
only for the bundle that it names, while that is current. The other one goes once the link is swapped. So no
moment has either bundle without its trial, and what a failed install has left of one does no harm.

The way back is swapped last, or a power cut between the two links would leave none; until then a third one,
`COMING`, has it. That counts as soon as it is not what is current: so no moment is without a way back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import device_config, disk, state
from edge_runtime.errors import StateError, StoreError
from edge_runtime.state import Action, Event, State, Trial
from edge_runtime.store import layout, lock, staging
from edge_runtime.store.layout import CURRENT, PREVIOUS

COMING = "previous.coming"
"""The link to what `PREVIOUS` is about to lead to."""


def activate(name: str, bundle: str, *, tries: int = 0) -> None:
    """Makes a bundle that was proven the current one. Only for whoever holds the store's lock.

    The one before it is what `rollback` goes back to; but where that is on trial, the last good one stays so.

    Args:
        tries: how often it may be opened by name before somebody marks it good; 0 for as often as one likes.

    Raises:
        StateError, OSError: it cannot be written; what was current still is, unless the disk refuses that.
    """
    settle(name)
    old, back = layout.usable(name, CURRENT), layout.usable(name, PREVIOUS)
    unproven = state.readable(name).on_trial(old)
    stays = unproven and back != bundle and back in layout.installed(name)
    state.update(name, lambda known: _awaiting(known, bundle, old, tries))
    folder = layout.folder(name)
    try:
        _clear(folder / CURRENT, folder / PREVIOUS)
        if not stays and old != bundle and old in layout.installed(name):
            disk.replace_link(folder / COMING, str(old))
        disk.replace_link(folder / CURRENT, bundle)
        state.update(name, lambda known: _arrived(known, bundle))
    except BaseException:
        with suppress(OSError):
            _restore(name, old)
        raise
    with suppress(OSError, StoreError):  # it is done, and the next writer does this
        settle(name)


def rollback(name: str, *, reason: str = "asked for", wait_seconds: float = lock.WAIT_SECONDS) -> str:
    """Goes back to the bundle that was current before; returns its directory's name.

    It must be as it was built, and signed as opening asks for. The one that is left stays installed until
    `prune`, and is not gone back to.

    Raises:
        StoreError: there is none before, or the store cannot be written.
        BundleError: the one before is damaged, or not signed by a key that this device trusts.
        ConfigError: device.yaml, which names those keys, cannot be used.
    """
    with lock.writer(wait_seconds=wait_seconds):
        current, previous = layout.target(name, CURRENT), way_back(name)
        if current is None:
            raise StoreError(f"{name}: not installed; edge-runtime status lists what is")
        if previous is None:
            raise StoreError(f"{name}: no bundle before {current} to roll back to; install one")
        folder = layout.folder(name)
        _check(folder / previous)
        with _rolling_back(name):
            settle(name)
            disk.replace_link(folder / CURRENT, previous)
            disk.remove_file(folder / PREVIOUS)
            disk.sync_directory(folder)
        done = event(current, "rollback", f"back to {previous}: {reason}")
        with suppress(StateError):  # it has happened, written down or not
            state.update(name, lambda known: replace(known.having(done), trial=None, coming=None))
        return previous


def way_back(name: str) -> str | None:
    """The directory's name of the bundle that `rollback` goes back to; None where there is none.

    Raises:
        StoreError: the store cannot be read.
    """
    current, installed = layout.usable(name, CURRENT), layout.installed(name)
    links = (layout.usable(name, link) for link in (COMING, PREVIOUS))
    return next((bundle for bundle in links if bundle != current and bundle in installed), None)


def settle(name: str) -> None:
    """Ends the swap of the way back, which a power cut may have cut off.

    Only for whoever holds the store's lock.

    Raises:
        StoreError, OSError: it cannot be read, or written.
    """
    folder = layout.folder(name)
    if not os.path.lexists(folder / COMING):
        return
    back = way_back(name)
    if back is not None and back == layout.usable(name, COMING):
        _clear(folder / PREVIOUS)
        disk.replace_link(folder / PREVIOUS, back)
    disk.remove_tree(folder / COMING)
    disk.sync_directory(folder)


def mark_good(name: str) -> str:
    """Ends the trial of the current bundle, and of no other that comes meanwhile: it stays.

    Returns its directory's name.

    Raises:
        StoreError: none is installed.
        StateError: it cannot be recorded.
    """
    current = layout.target(name, CURRENT)
    if current is None:
        raise StoreError(f"{name}: not installed; edge-runtime status lists what is")
    done = event(current, "mark-good", "done")
    state.update(name, lambda known: known.having(done).with_trial(current, None))
    return current


def event(bundle: str, action: Action, result: str) -> Event:
    """One that happens now. A file's name need not be text; of what is none the numbers are kept."""
    result = result.encode("utf-8", "backslashreplace").decode()
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Event(when, bundle, action, result)


def _awaiting(known: State, bundle: str, old: str | None, tries: int) -> State:
    """Before the swap: with the trials of both, each its own."""
    if bundle != old:
        coming = Trial(bundle, limit=tries) if tries else None
        return replace(known, trial=known.trial_of(old), coming=coming)
    if tries:  # damaged and put right: it is no newer than it was, so what is good stays good
        return known.with_trial(bundle, Trial(bundle, limit=tries))
    return known


def _arrived(known: State, bundle: str) -> State:
    """After it: with that of the bundle alone."""
    done = known.having(event(bundle, "install", "done"))
    return replace(done, trial=known.trial_of(bundle), coming=None)


def _check(directory: Path) -> None:
    """All that opening it would, and every byte."""
    layout.check_manifest(directory)
    bundles.Bundle.open(directory, verify="full").close()
    bundles.check_signer(directory, device_config.read().keys)


def _clear(*links: Path) -> None:
    """A directory in the place of a link, as a copy of a store has that followed them, gives way."""
    for link in links:
        if link.is_dir() and not link.is_symlink():
            staging.discard(link)


def _restore(name: str, old: str | None) -> None:
    """`COMING` goes last: it is the way back until `CURRENT` is as it was."""
    folder = layout.folder(name)
    if old is None:
        disk.remove_file(folder / CURRENT)
    elif layout.usable(name, CURRENT) != old:
        disk.replace_link(folder / CURRENT, old)
    disk.remove_file(folder / COMING)
    disk.sync_directory(folder)


@contextmanager
def _rolling_back(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); {name} may not be rolled back"
        raise StoreError(f"{layout.folder(name)}: {problem}") from None
