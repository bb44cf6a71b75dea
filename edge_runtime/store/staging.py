"""Writes a bundle where nobody looks for one, hashing it on the way, and makes it durable there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import disk
from edge_runtime import manifest as manifests
from edge_runtime.errors import IntegrityError
from edge_runtime.manifest import FileEntry
from edge_runtime.store import layout
from edge_runtime.store.held import Held
from edge_runtime.store.sources import Incoming

Progress = Callable[[int, int], object]
"""Told of bytes done and of all bytes."""

_CHUNK = 1 << 18
_READABLE = 0o444


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes of files that were written, and of files that the store had and has linked."""

    written: int
    linked: int


def clean() -> None:
    """Removes what earlier writers did not finish. Only for whoever holds the store's lock."""
    if (
        layout.staging().is_symlink() or not layout.staging().is_dir()
    ):  # what a link leads to is not ours to empty
        disk.remove_file(layout.staging())
    disk.make_directory(layout.staging())
    for left in list(layout.staging().iterdir()):
        disk.remove_tree(left)


def discard(directory: Path) -> None:
    """Removes a bundle's directory, or what is in its place, such that no part of it is ever seen there."""
    if os.path.lexists(directory):
        disk.make_directory(layout.staging())
        away = layout.staging() / f"{directory.parent.name}-{directory.name}.old"
        disk.remove_tree(away)
        disk.move(directory, away)
        disk.remove_tree(away)


def write(incoming: Incoming, into: Path, *, held: Held, progress: Progress) -> Staged:
    """Every file of a bundle into a new directory, durable but for the directory's own name.

    Raises:
        IntegrityError: a file has another sha256 than the manifest says.
        BundleError: the source cannot be read, or is not as it should be.
        OSError: the disk is full or fails.
    """
    disk.make_directory(into)
    written = linked = 0
    total = sum(entry.size for entry in incoming.manifest.files)
    for entry, pieces in incoming.files():
        disk.make_directory((into / entry.path).parent)
        existing = held.sound(entry)
        if existing and _is_public(existing) and disk.hard_link(existing, into / entry.path):
            take(pieces, entry, incoming.source)  # what was sent must be right all the same
            linked += entry.size
        else:
            given = pieces if pieces is not None else copied(existing)
            disk.write(into / entry.path, hashed(given, entry, incoming.source))
            written += entry.size
        progress(written + linked, total)
    disk.write(into / manifests.FILENAME, [incoming.manifest_bytes])
    if incoming.signature is not None:
        disk.write(into / manifests.SIGNATURE, [incoming.signature])
    for directory in (into, *(path for path in into.rglob("*") if path.is_dir())):
        disk.sync_directory(directory)
    return Staged(written, linked)


def _is_public(existing: Path) -> bool:
    """A file that was installed for nobody else to read stays so; a new bundle gets a copy for all."""
    return existing.stat().st_mode & _READABLE == _READABLE


def check(incoming: Incoming) -> None:
    """Reads and hashes every file and writes none. Raises as `write` does."""
    for entry, pieces in incoming.files():
        take(pieces, entry, incoming.source)


def take(pieces: Iterator[bytes] | None, entry: FileEntry, source: str) -> None:
    """Reads and hashes what came of a file, if anything did. Raises as `write` does."""
    if pieces is not None:
        for _ in hashed(pieces, entry, source):
            pass


def copied(existing: Path | None) -> Iterator[bytes]:
    """The bytes of a file that cannot be linked; none where the store has lost it, which will not fit."""
    if existing is not None:
        with existing.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece


def hashed(pieces: Iterator[bytes], entry: FileEntry, source: str) -> Iterator[bytes]:
    """The same pieces; at their end the size and the sha256 must be those of the manifest."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        if size > entry.size:
            break
        yield piece
    if size != entry.size:
        found = f"more than {entry.size}" if size > entry.size else str(size)
        raise IntegrityError(f"{source}: {entry.path}: {found} bytes; expected {entry.size}; copy it again")
    if digest.hexdigest() != entry.sha256:
        found = f"sha256 {digest.hexdigest()[:12]}…; expected {entry.sha256[:12]}…"
        raise IntegrityError(f"{source}: {entry.path}: {found}; copy it again")
