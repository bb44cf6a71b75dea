"""What a device has learned about its bundles, kept outside of them: bundles themselves never change.

    ROOT/bundles/NAME/state.yaml    which encoder is best here, by measurement (see `calibrate`)
    ROOT/bundles/NAME/state.lock    one writer at a time

For ROOT see `home`. Readers need no lock, for the file is only ever replaced whole.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge_runtime import schema, strict_yaml
from edge_runtime.errors import StateError
from edge_runtime.home import root as root

FILENAME = "state.yaml"
MAX_BYTES = 1 << 20

MAX_CALIBRATIONS = 16
"""Kept for one name of a bundle, the newest; versions of long ago do not come back."""

_LOCK = "state.lock"


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
        bundle: sha256 of the bundle's manifest.yaml, which has the sha256 of all else.
        encoder: the one that was chosen for `budget_ms`.
        rungs: those that could be measured, in the manifest's order.
        when: UTC, ISO 8601.
        cpu: the processor's name; None where it does not tell.
        runtime: version of this package.
    """

    bundle: str
    encoder: str
    budget_ms: float
    rungs: tuple[Rung, ...]
    when: str
    cpu: str | None
    runtime: str

    def __post_init__(self) -> None:
        ids = [rung.id for rung in self.rungs]
        problem = f"expected one of the rungs; found {schema.shown(self.encoder)}"
        schema.require(self.encoder in ids, "encoder", problem)

    @property
    def chosen(self) -> Rung:
        """The rung of `encoder`."""
        return next(rung for rung in self.rungs if rung.id == self.encoder)


@dataclass(frozen=True, slots=True)
class State:
    """The whole of a state file: at most one calibration for each bundle, the newest first."""

    calibrations: tuple[Calibration, ...] = ()

    def calibration(self, bundle: str) -> Calibration | None:
        """That of the bundle whose manifest.yaml has the sha256 `bundle`."""
        return next((known for known in self.calibrations if known.bundle == bundle), None)

    def plus(self, new: Calibration) -> State:
        """With `new` in place of an older one of the same bundle."""
        others = [known for known in self.calibrations if known.bundle != new.bundle]
        return State((new, *others)[:MAX_CALIBRATIONS])


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
    return _parse(data, file)


def record(name: str, calibration: Calibration) -> Path:
    """Adds a calibration to the state of the bundles called `name`; returns the file.

    Safe against other writers and against a power cut: afterwards the file is the old or the new one. A
    damaged file is replaced, since all that it held can be measured again.

    Raises:
        StateError: the file cannot be written.
    """
    file = path(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file.parent / _LOCK):
            _replace(file, _dump(_readable(name).plus(calibration)))
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); set EDGE_RUNTIME_HOME to a folder that can"
        raise StateError(f"{file}: {problem}") from None
    return file


def _readable(name: str) -> State:
    try:
        return read(name)
    except StateError:
        return State()


def _parse(data: bytes, file: Path) -> State:
    problem: object = f"larger than {MAX_BYTES} bytes"
    if len(data) <= MAX_BYTES:
        try:
            return schema.decode(State, strict_yaml.load(data))
        except (strict_yaml.StrictYamlError, schema.SchemaError) as error:
            problem = error
    raise StateError(f"{file}: damaged, or written by another version ({problem}); calibrate again")


def _dump(state: State) -> bytes:
    return yaml.safe_dump(schema.encode(state), sort_keys=False, width=100).encode()


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Waits for other writers; the kernel frees the lock of one that dies."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _replace(file: Path, data: bytes) -> None:
    temporary = file.with_name(f"{file.name}.new")  # one name: what a power cut leaves is written over
    with temporary.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the rename itself may be lost
    finally:
        os.close(folder)
