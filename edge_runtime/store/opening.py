"""Opens a bundle by directory or by name.

A name stands for the current bundle, unless that has had its chances and nobody marked it good. A trial is
what `install(tries=N)` asks for; opening counts before anything is loaded, so that a bundle which takes the
process down with it is counted as well. Who may not write the store does not count, nor who finds a process
at work with that bundle: there it has come further than opening.
"""

from __future__ import annotations

import os
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge_runtime import state
from edge_runtime.bundle import Bundle, Verification
from edge_runtime.errors import BundleError, ConfigError, DeviceWarning, StateError, StoreError
from edge_runtime.state import State
from edge_runtime.store import layout, lock

_ATTEMPTS = 5
_PAUSE = 0.005  # seconds, once, twice and so on


def open_bundle(bundle: str | os.PathLike[str], *, verify: Verification | None = None) -> Bundle:
    """Opens a bundle by its directory or its installed name.

    Args:
        verify: as for `Bundle.open`; None is "size" for an installed bundle, else "full".

    Raises:
        BundleError: there is none, or it cannot be used (see its subclasses).
        StoreError: the store cannot be read.
        QueryError: an argument that cannot be used.
    """
    if not layout.is_name(bundle):
        return Bundle.open(bundle, verify="full" if verify is None else verify)
    return open_installed(str(bundle), verify=verify)


def open_installed(name: str, *, verify: Verification | None = None) -> Bundle:
    """Opens the current bundle of an installed name, whatever the working directory has of that name.

    Raises:
        BundleError, StoreError: as `open_bundle`.
    """
    _count(name)
    for attempt in range(_ATTEMPTS):  # between finding and holding it, it may be replaced and pruned
        time.sleep(attempt * _PAUSE)  # or another process looks just now whether it is held
        directory = layout.current(name)
        if directory is None:
            return Bundle.open(name)  # which says what is wrong with it
        held = lock.hold(directory)
        if held is not None:
            return _opened(directory, held, "size" if verify is None else verify)
    raise BundleError(f"{directory}: missing, or cannot be read; install {name} again")


def _opened(directory: Path, held: int, verify: Verification) -> Bundle:
    try:
        layout.check_manifest(directory)
        opened = Bundle.open(directory, verify=verify)
    except BaseException:
        os.close(held)
        raise
    opened.hold(held)
    return opened


def _count(name: str) -> None:
    """One more try, or the way back after the last."""
    try:
        directory = layout.current(name)
        trial = state.read(name).trial_of(directory.name) if directory else None
        if directory is None or trial is None or _in_use(directory):
            return
    except (OSError, StateError, StoreError):
        return
    if trial.tries < trial.limit:
        with suppress(StateError):
            state.update(name, lambda known: _one_more(known, trial.bundle))
        return
    _roll_back(name, trial.bundle, trial.limit)


def _in_use(directory: Path) -> bool:
    """Whether a process has that bundle open, this one among them."""
    with lock.unused(directory) as free:
        return not free


def _one_more(known: State, bundle: str) -> State:
    trial = known.trial_of(bundle)
    return known if trial is None else known.with_trial(bundle, replace(trial, tries=trial.tries + 1))


def _roll_back(name: str, bundle: str, limit: int) -> None:
    from edge_runtime.store import switch  # only a failed bundle pays for it

    why = f"opened {limit} times and never marked good"
    try:
        previous = switch.rollback(name, reason=why, wait_seconds=0.0)
        text = f"{name}: {bundle} was {why}; rolled back to {previous}"
    except StoreError:  # an install is under way, or there is nothing to go back to
        return
    except (BundleError, ConfigError) as error:  # what is in use may yet work; that one would not open
        text = f"{name}: {bundle} was {why}, and stays: {error}"
    warnings.warn(text, DeviceWarning, stacklevel=2)
