"""Older editions of files that are lacking, laid out for rsync: it sends only what differs from them.

    ROOT/incoming/delta/SHA256    at first a hard link to the installed file at the same path, under the
                                  new one's sha256; afterwards, where rsync came to an end, the new one

rsync writes a temporary file beside a link and renames it over that: so an installed file is read and never
written, and what is not as the manifest says costs the delta alone. Only for whoever holds `lock.receiver`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime.errors import BundleError, StoreError
from edge_runtime.manifest import FileEntry
from edge_runtime.store import arrivals, layout

SMALLEST = 1 << 16
"""Bytes of a file, old and new, below which another program's start and list of blocks would not pay."""


def lay_out(name: str, lacking: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The files of which the bundle called `name` that is in use has an older edition, which then lies ready.

    Not those of which something has come: these go on where they were. Nor any where the file system has
    no hard links, or the older edition cannot be read.
    """
    older = _in_use(name)
    found = [entry for entry in lacking if entry.size >= SMALLEST and not arrivals.begun(entry)]
    return tuple(entry for entry in found if entry.path in older and _link(older[entry.path], entry))


def take(entry: FileEntry) -> bool:
    """Whether the new file lies there now, every byte as in the manifest; then it has arrived.

    Raises:
        OSError: the disk fails.
    """
    path = arrivals.delta() / entry.sha256
    if path.is_symlink() or not path.is_file():
        return False
    found = path.stat()
    if found.st_nlink != 1 or found.st_size != entry.size:  # the link as it was laid out, or not all of it
        return False
    disk.flush(path)  # rsync does not
    if bundles.sha256(path) != entry.sha256:
        return False
    disk.move(path, layout.incoming() / entry.sha256)
    return True


def _in_use(name: str) -> dict[str, Path]:
    """Where the files are that the current bundle lists, by their path in it."""
    try:
        directory = layout.current(name)
        files = bundles.read_manifest(directory).files if directory else ()
    except (BundleError, StoreError):
        return {}
    return {entry.path: directory / entry.path for entry in files if directory}


def _link(older: Path, entry: FileEntry) -> bool:
    try:
        if older.is_symlink() or not older.is_file() or older.stat().st_size < SMALLEST:
            return False
        disk.make_directory(arrivals.delta())
        return disk.hard_link(older, arrivals.delta() / entry.sha256)
    except OSError:  # then the file is sent whole
        return False
