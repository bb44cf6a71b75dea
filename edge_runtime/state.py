"""What a device has learned about its bundles, kept outside of them: bundles themselves never change.

    ROOT/bundles/NAME/state.yaml    which encoder is best here, by measurement (see `calibrate`); what was
                                    installed and rolled back, and whether it is on trial (see `store`)
    ROOT/bundles/NAME/state.lock    one writer at a time

For ROOT see `home`. Readers need no lock, for the file is only ever replaced whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from edge_runtime import disk, schema, strict_yaml
from edge_runtime.errors import StateError
from edge_runtime.home import root as root

FILENAME = "state.yaml"
MAX_BYTES = 1 << 20

MAX_CALIBRATIONS = 16
"""Kept for one name of a bundle, the newest; versions of long ago do not come back."""

SIMILAR = 2
"""A calibration holds for so many times as many passages as it was made with, and for as many times fewer."""

MAX_EVENTS = 32
"""Kept for one name of a bundle, the newest."""

Action = Literal["install", "rollback", "mark-good"]

_LOCK = "state.lock"
_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One encoder as measured on this device.

    Attributes:
        engine: what ran it, as `encoders.engine` gives it.
        p50_ms: median time of a whole search in hybrid mode, in milliseconds; `p99_ms` likewise.
        quality: nDCG@10 as the manifest has it.
    """

    id: str
    engine: str
    p50_ms: float
    p99_ms: float
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of measuring all encoders of one bundle.

    Attributes:
        bundle: what was measured, as `ladder.digest` gives it; where `passages` is None, written by an older
            runtime, the sha256 of the bundle's manifest.yaml.
        encoder: the one that was chosen for `budget_ms`.
        rungs: those that could be measured, in the manifest's order.
        when: UTC, ISO 8601.
        cpu: the processor's name; None where it does not tell.
        runtime: version of this package.
        passages: how many there were to search.
    """

    bundle: str
    encoder: str
    budget_ms: float
    rungs: tuple[Rung, ...]
    when: str
    cpu: str | None
    runtime: str
    passages: int | None = None

    def __post_init__(self) -> None:
        ids = [rung.id for rung in self.rungs]
        problem = f"expected one of the rungs; found {schema.shown(self.encoder)}"
        schema.require(self.encoder in ids, "encoder", problem)

    @property
    def chosen(self) -> Rung:
        """The rung of `encoder`."""
        return next(rung for rung in self.rungs if rung.id == self.encoder)

    def holds_for(self, passages: int | None) -> bool:
        """Whether so many passages are searched in about the time that was measured."""
        if self.passages is None or passages is None:
            return self.passages == passages
        few, many = sorted((self.passages, passages))
        return many <= SIMILAR * few


@dataclass(frozen=True, slots=True)
class Trial:
    """A bundle that has yet to prove itself, while it is the current one.

    Attributes:
        bundle: its directory's name.
        limit: how often it may be opened by name without being marked good.
        tries: how often it was.
    """

    bundle: str
    limit: int
    tries: int = 0

    def __post_init__(self) -> None:
        schema.require_positive(self, "limit")


@dataclass(frozen=True, slots=True)
class Event:
    """What was tried with a bundle (its directory's name), when, and what came of it, in words."""

    when: str
    bundle: str
    action: Action
    result: str


@dataclass(frozen=True, slots=True)
class State:
    """The whole of a state file: the newest calibration and the newest event first.

    Attributes:
        trial: of the current bundle.
        coming: of a bundle that is about to be the current one, or just became it; see `store.switch`.
    """

    calibrations: tuple[Calibration, ...] = ()
    trial: Trial | None = None
    coming: Trial | None = None
    events: tuple[Event, ...] = ()

    def calibration(self, bundle: str, passages: int | None = None) -> Calibration | None:
        """The newest of `bundle` that holds for `passages`; else the newest that was made with other ones."""
        found = [known for known in self.calibrations if known.bundle == bundle]
        return next((known for known in found if known.holds_for(passages)), found[0] if found else None)

    def plus(self, new: Calibration) -> State:
        """With `new` in place of older ones of the same bundle that hold for as many passages."""
        others = [
            known
            for known in self.calibrations
            if known.bundle != new.bundle or not known.holds_for(new.passages)
        ]
        return replace(self, calibrations=(new, *others)[:MAX_CALIBRATIONS])

    def trial_of(self, bundle: str | None) -> Trial | None:
        """That of a bundle, by its directory's name; None where it has nothing to prove."""
        return next((each for each in (self.trial, self.coming) if each and each.bundle == bundle), None)

    def on_trial(self, bundle: str | None) -> bool:
        """Whether a bundle, by its directory's name, has yet to prove itself."""
        return self.trial_of(bundle) is not None

    def with_trial(self, bundle: str, changed: Trial | None) -> State:
        """With another trial, or none, in place of that of a bundle that is on trial; else as it is."""
        known = self.trial_of(bundle)
        if known is None:
            return self
        return replace(self, **{"trial" if known is self.trial else "coming": changed})  # type: ignore[arg-type]

    def having(self, new: Event) -> State:
        """With one more event."""
        return replace(self, events=(new, *self.events)[:MAX_EVENTS])


def path(name: str) -> Path:
    """The state file of the bundles called `name`. Raises as `root` does."""
    return root() / "bundles" / name / FILENAME


def read(name: str) -> State:
    """The state of the bundles called `name`; empty when nothing was ever written.

    Raises:
        StateError: the file cannot be read, or is not one that this version wrote.
    """
    file = path(name)
    try:
        if not file.exists():
            return State()
        if not file.is_file():  # opening a named pipe would wait for ever
            raise StateError(f"{file}: not a plain file; remove it and calibrate again")
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise StateError(f"{file}: cannot be read ({error.strerror})") from None
    return parse(data, str(file))


def readable(name: str) -> State:
    """As `read`, but empty when the file cannot be used."""
    try:
        return read(name)
    except StateError:
        return State()


def record(name: str, calibration: Calibration) -> Path:
    """Adds a calibration to the state of the bundles called `name`, as `update` does."""
    return update(name, lambda known: known.plus(calibration))


def update(name: str, change: Callable[[State], State]) -> Path:
    """Replaces the state of the bundles called `name` by what `change` makes of it; returns the file.

    Safe against other writers and against a power cut: afterwards the file is the old or the new one. A
    damaged file counts as empty: calibrations can be measured again, and a bundle without a trial stays.

    Raises:
        StateError: the file cannot be written, or could not be read again.
    """
    with _writing(name) as file:
        disk.replace_file(file, _dump(change(readable(name)), str(file)))
    return file


def check_writable(name: str) -> None:
    """Finds out whether `update` could write, before what is worth writing down takes minutes.

    Raises:
        StateError: it could not. (Where it could, the disk may be full by then.)
    """
    with _writing(name):
        pass


def parse(data: bytes, source: str = FILENAME) -> State:
    """Parses the bytes of a state.yaml. `source` names them in errors. Raises as `read` does."""
    try:
        return _load(data)
    except ValueError as error:
        problem = f"damaged, or written by another version ({error})"
        raise StateError(f"{source}: {problem}; calibrate again") from None


def _load(data: bytes) -> State:
    """Raises `ValueError`, which says why it is none."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    return schema.decode(State, strict_yaml.load(data))


def _dump(state: State, source: str = FILENAME) -> bytes:
    data = yaml.safe_dump(schema.encode(state), sort_keys=False, width=100).encode()
    try:
        _load(data)  # or the next writer would count it as empty
    except ValueError as error:
        raise StateError(f"{source}: not written, for it could not be read again ({error})") from None
    return data


@contextmanager
def _writing(name: str) -> Iterator[Path]:
    """The state file of the bundles called `name`, its folder made; no other writer. Raises as `update`."""
    file = path(name)
    try:
        disk.make_directory(file.parent)
        with _locked(file.parent / _LOCK):
            yield file
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); set EDGE_RUNTIME_HOME to a folder that can"
        raise StateError(f"{file}: {problem}") from None


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Waits for other writers, each of whom is done at once; the kernel frees the lock of one that dies."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not disk.acquire(descriptor, wait_seconds=_WAIT_SECONDS):
            raise OSError(errno.EAGAIN, f"another process has held {lock} for {_WAIT_SECONDS:.0f} s")
        yield
    finally:
        os.close(descriptor)
