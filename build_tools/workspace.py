"""The build's working folder: one directory a stage, named by the hash of all that the stage depends on.

A stage whose directory is marked done is not run again; one that was interrupted finds what it had
finished and goes on. Changing a recipe therefore redoes exactly the stages that the change reaches.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike

from build_tools.errors import BuildError

DONE, LOCK = "done.json", "lock"

ARRAYS = ("vectors.npy", "scores.npy")
"""What a stage of one array gives; it has its name when it is whole, and the stage is not marked done."""

STAGES = "stages"
"""The folder of finished stages in a build folder."""


class MissingStageError(BuildError):
    """A stage is not finished where nothing may be made."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's directory.

    Attributes:
        key: hash of its inputs; stages that depend on this one take it as an input.
    """

    directory: Path
    key: str

    @property
    def done(self) -> bool:
        """Whether an earlier run finished it."""
        return (self.directory / DONE).exists()

    @property
    def result(self) -> dict[str, Any]:
        """What `finish` recorded."""
        value: dict[str, Any] = json.loads((self.directory / DONE).read_text("utf-8"))
        return value

    def finish(self, result: dict[str, Any] | None = None) -> None:
        """Marks it done, with a small JSON result, once its files would survive a power cut."""
        sync(self.directory)
        data = json.dumps(result or {}, indent=1, sort_keys=True).encode()
        write_atomically(self.directory / DONE, lambda file: file.write(data))


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds the stages of one bundle.

    Attributes:
        frozen: whether nothing may be made that is not there.
    """

    root: Path
    frozen: bool = False

    def stage(self, name: str, *inputs: object) -> Stage:
        """The stage `name` for these inputs, anything with a faithful ``repr``; made if it is new.

        Raises:
            MissingStageError: it is not finished, in a frozen workspace.
        """
        key = hashlib.sha256(repr((name, inputs)).encode()).hexdigest()
        directory = self.root / f"{name}-{key[:12]}"
        if self.frozen and not any((directory / file).exists() for file in (DONE, *ARRAYS)):
            raise MissingStageError(f"{directory}: is not there, or not finished; build the bundle again")
        directory.mkdir(parents=True, exist_ok=True)
        return Stage(directory, key)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds `directory`, made if it is new, for one process; the system lets go when the process ends.

    Raises:
        BuildError: another process holds it, or a file is in its place.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BuildError(f"{directory}: a file is where a folder is to be; choose another place") from None
    with (directory / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(
                f"{directory}: another edge-build is at work here; wait for it, or build elsewhere with --out"
            ) from None
        yield


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> Any:
    """An .npy file to be filled in place, mapped.

    Its space is taken now. A page that a full disk has no room for is found when it is written, and then the
    system ends the process. (macOS cannot take it so.)

    Raises:
        OSError: it cannot be written, or there is no room for it.
    """
    try:
        array: Any = npy_format.open_memmap(path, "w+", np.dtype(dtype), shape, version=(1, 0))
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        error.filename = str(path)
        raise
    return array


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file that is either whole or absent: temporary name, fsync, rename."""
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if (
            isinstance(error, OSError) and error.filename is None
        ):  # a full disk is found by a write, without a name
            error.filename = str(path)
        raise


def sync(root: Path) -> None:
    """Makes a file, or a directory with all that is in it, survive a power cut."""
    for path in (*root.rglob("*"), root):
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
