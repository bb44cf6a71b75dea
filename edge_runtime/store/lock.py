"""Who may change the store, and who keeps a bundle from being removed: locks that the kernel frees."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime import disk
from edge_runtime.errors import StoreError
from edge_runtime.store import layout

WAIT_SECONDS = 10.0

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_WRITABLE = "use sudo, or set EDGE_RUNTIME_HOME to a folder that can"


@contextmanager
def writer(*, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """The right to change the store, of one process at a time; one that dies gives it back.

    Raises:
        StoreError: another process has it for longer than `wait_seconds`, or the store cannot be written.
    """
    path = layout.lock()
    try:
        disk.make_directory(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); {_WRITABLE}") from None
    try:
        _acquire(descriptor, path, wait_seconds)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def receiver(*, wait_seconds: float) -> Iterator[None]:
    """The right to put files into `layout.incoming`, which is made; of one process at a time.

    Raises:
        StoreError: another process has it for longer than `wait_seconds`, or the store cannot be written.
    """
    path = layout.incoming()
    try:
        disk.make_directory(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); {_WRITABLE}") from None
    try:
        _acquire(descriptor, path, wait_seconds)
        yield
    finally:
        os.close(descriptor)


def hold(directory: Path) -> int | None:
    """A descriptor that keeps a bundle's directory from `prune` until it is closed.

    None if it is gone, or no directory any more, or `prune` looks at it just now.

    Raises:
        StoreError: it may be there and sound, but cannot be read.
    """
    try:
        return _held(directory)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise StoreError(f"{directory}: cannot be read ({error.strerror})") from None


@contextmanager
def unused(directory: Path) -> Iterator[bool]:
    """Whether nobody holds a bundle's directory; while it is True, nobody comes to."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        free = False
    else:
        free = True
    try:
        yield free
    finally:
        os.close(descriptor)


def _held(directory: Path) -> int | None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), directory.stat()):  # not moved away in between
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    if not disk.acquire(descriptor, wait_seconds=wait_seconds):
        raise StoreError(f"{path}: another edge-runtime is changing the store; wait for it")
