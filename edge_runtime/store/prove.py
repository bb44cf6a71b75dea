"""Proves what is in use, as after an install: every byte hashed, the golden queries replayed.

For a device's start, where a bundle on trial shows that it runs there. It counts as an opening before
anything is read (`opening`), so a bundle that takes the whole device down each time has its tries and is gone
back from.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import device_config, state
from edge_runtime.bundle import check_signer
from edge_runtime.errors import Error, StoreError
from edge_runtime.state import State
from edge_runtime.store import layout
from edge_runtime.store.opening import open_installed
from edge_runtime.store.switch import event

PASSED = "proven"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of one name.

    Attributes:
        bundle: the directory's name of the one that was tried; None where none can be.
        marked_good: it was on trial, and is no more.
        problem: why it is not proven; None if it is.
    """

    name: str
    bundle: str | None
    marked_good: bool = False
    problem: str | None = None


def prove(name: str | None = None, *, self_test: Callable[[Path], object]) -> tuple[Proof, ...]:
    """Proves the current bundle of one name, or of every name; one that fails is no other's business.

    A bundle on trial that passes is marked good. One that fails stays on trial, for its tries.

    Args:
        self_test: replays golden queries; raises `Error` where they do not give what they gave at the build.

    Raises:
        StoreError: no bundle has that name, or the store cannot be read.
    """
    if name is not None and not layout.installed(name):
        raise StoreError(f"{name}: not installed; edge-runtime status lists what is")
    return tuple(_proof(each, self_test) for each in (layout.names() if name is None else (name,)))


def _proof(name: str, self_test: Callable[[Path], object]) -> Proof:
    bundle = None
    try:
        with closing(open_installed(name, verify="full")) as opened:
            bundle = opened.root.name
            check_signer(opened.root, device_config.read().keys)
            self_test(opened.root)
        return Proof(name, bundle, marked_good=_mark_good(name, bundle))
    except Error as error:
        with suppress(StoreError):
            bundle = bundle or layout.target(name, layout.CURRENT)
        return Proof(name, bundle, problem=str(error))


def _mark_good(name: str, bundle: str) -> bool:
    """Ends the trial of this bundle: another one may have been installed meanwhile, and has its own."""

    def ended(known: State) -> State:
        return known.having(done).with_trial(bundle, None) if known.on_trial(bundle) else known

    if not state.read(name).on_trial(bundle):
        return False
    done = event(bundle, "mark-good", PASSED)
    state.update(name, ended)
    return True
