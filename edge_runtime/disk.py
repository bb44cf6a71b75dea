"""Changes to the disk that a power cut cannot halve, each made of the system calls that this takes.

A rename is atomic but not durable, and data behind a new name can still be missing: so contents are flushed
before their name appears, and the directory after it. All that is written under ROOT goes through here.

What is new there may be read by all, whatever the umask: root installs, and services have users of their own.
What is to be private is so by a directory above it, which stays as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_runtime import home

_NO_LINKS = dict.fromkeys(
    (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP),
    "this file system makes no symbolic links, as FAT and exFAT do not; a store needs another, such as ext4",
)
_PAUSE_SECONDS = 0.05
_FILE, _DIRECTORY = 0o644, 0o755
_NO_HARD_LINKS = (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP)


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """A new file with these bytes, flushed; its name is not yet (see `sync_directory`).

    Raises:
        OSError: it exists, or cannot be written. What `pieces` raises comes through.
    """
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW) as descriptor:
        _allow(descriptor, _FILE)
        _write_all(descriptor, pieces)
        os.fsync(descriptor)


def append(path: Path, pieces: Iterable[bytes]) -> None:
    """These bytes behind the end of a file, which may be new; flushed as far as they came.

    Raises:
        OSError: it cannot be written. What `pieces` raises comes through.
    """
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW) as descriptor:
        if not os.fstat(descriptor).st_size:  # else it was there before
            _allow(descriptor, _FILE)
        try:
            _write_all(descriptor, pieces)
        finally:
            os.fsync(descriptor)


def flush(path: Path) -> None:
    """Makes a file's bytes, which another program wrote, survive a power cut. Raises `OSError`."""
    with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def make_directory(path: Path) -> None:
    """A directory and those above it, as far as they are new; durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    else:
        if home.root() in (path, *path.parents):
            _allow(path, _DIRECTORY)
    sync_directory(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Afterwards, and after a power cut at any time, the file is the old or the new one."""
    temporary = path.with_name(f"{path.name}.new")  # one name: what a power cut leaves is removed
    remove_file(temporary)
    write(temporary, [data])
    os.replace(temporary, path)
    sync_directory(path.parent)


def replace_link(path: Path, target: str) -> None:
    """As `replace_file`, for a symbolic link."""
    temporary = path.with_name(f"{path.name}.new")
    remove_file(temporary)
    try:
        os.symlink(target, temporary)
    except OSError as error:
        raise OSError(error.errno, _NO_LINKS.get(error.errno or 0, error.strerror), str(path)) from None
    os.replace(temporary, path)
    sync_directory(path.parent)


def hard_link(existing: Path, new: Path) -> bool:
    """Gives a file a second name; False where the file system cannot."""
    try:
        os.link(existing, new)
    except OSError as error:
        if error.errno in _NO_HARD_LINKS:
            return False
        raise
    return True


def move(source: Path, target: Path) -> None:
    """Renames to a name that is free; durable."""
    os.rename(source, target)
    sync_directory(target.parent)
    sync_directory(source.parent)


def remove_file(path: Path) -> None:
    """Unlinks a file or a link, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_tree(path: Path) -> None:
    """Removes a directory with all that is in it, a link or a file; not what links point at."""
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
        return
    for child in list(path.iterdir()):
        remove_tree(child)
    os.rmdir(path)


def forget_cached(path: Path) -> None:
    """Asks the kernel to drop a file's pages, so that the next read is of the disk and not of memory."""
    if hasattr(os, "posix_fadvise"):
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def acquire(descriptor: int, *, wait_seconds: float) -> bool:
    """Waits for the lock of an open file, which goes with its descriptor; False if others kept it so long."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def free_bytes(path: Path) -> int:
    """What this user may still write where `path` is, or will be."""
    while not path.exists():
        path = path.parent
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def _allow(new: int | Path, mode: int) -> None:
    """Gives back what the umask took of these rights, and takes none."""
    found = stat.S_IMODE(os.stat(new).st_mode)
    if mode & ~found:
        os.chmod(new, found | mode)


def _write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, _FILE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
