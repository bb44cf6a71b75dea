"""Puts right what the disk has damaged in an installed bundle, file by file; what is sound is not touched.

Each file is replaced by one rename, so whoever has the bundle open keeps the old bytes, a power cut leaves
the damaged file or the sound one, and at no moment is there less of the bundle than before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime.errors import StoreError
from edge_runtime.store import content, layout, lock, sources, staging
from edge_runtime.store.admission import check_signer
from edge_runtime.store.held import Held
from edge_runtime.store.sources import Incoming

Progress = Callable[[int, int], object]
"""Told of bytes compared and of all bytes."""


@dataclass(frozen=True, slots=True)
class Mended:
    """The `files` that were replaced or removed; bytes that were `written`, and those that were `sound`."""

    files: tuple[str, ...]
    written: int
    sound: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """An installed bundle that is as it was built again; `bundle` is its directory's name."""

    name: str
    version: str
    bundle: str
    files: tuple[str, ...]
    written: int


def repair(
    source: str | os.PathLike[str],
    *,
    progress: Progress = lambda done, total: None,
    wait_seconds: float = lock.WAIT_SECONDS,
) -> Repaired:
    """Compares an installed bundle, in use or not, with its transport file, and replaces what differs.

    Args:
        source: as for `install`; its very manifest must be the installed one's.

    Raises:
        BundleError: the source is not a bundle for this device, or damaged (see its subclasses); or the disk
            gives back other bytes than were written.
        StoreError: that bundle is not installed, another writer is at work, no room, or the disk fails.
    """
    with sources.opened(source) as incoming, lock.writer(wait_seconds=wait_seconds):  # as `install` does
        manifest = incoming.manifest
        bundle = content.bundle_name(incoming)
        directory = layout.folder(manifest.name) / bundle
        if directory.is_symlink() or not directory.is_dir():
            what = f"{manifest.name} {bundle} is not installed"
            raise StoreError(f"{incoming.source}: {what}; edge-runtime install brings it")
        try:
            check_signer(incoming)
            staging.clean()
            mended = mend(directory, incoming, held=Held.look(), progress=progress)
            content.read_back(directory, incoming)
        except OSError as error:
            where = error.filename or directory
            problem = f"{error.strerror}; {manifest.name} {manifest.version} is not repaired"
            raise StoreError(f"{where}: {problem}") from None
        return Repaired(manifest.name, manifest.version, bundle, mended.files, mended.written)


def mend(directory: Path, incoming: Incoming, *, held: Held, progress: Progress) -> Mended:
    """Makes a directory the bundle that came. Only for whoever holds the store's lock.

    Args:
        held: where files may be that did not come.

    Raises:
        BundleError: the source is not as it should be.
        OSError: the disk is full or fails.
    """
    others = [name for name, _ in bundles.unlisted(directory, incoming.manifest)]
    for name in others:  # first: a link must not lead a file out of here
        disk.remove_tree(directory / name)
    content.forget_cached(directory)
    mended, written, sound = [], 0, 0
    total = sum(entry.size for entry in incoming.manifest.files)
    for entry, pieces in incoming.files():
        if bundles.problem_of(directory, entry, verify="full"):
            given = pieces if pieces is not None else staging.copied(held.sound(entry))
            _replace(directory / entry.path, staging.hashed(given, entry, incoming.source))
            mended.append(entry.path)
            written += entry.size
        else:
            staging.take(pieces, entry, incoming.source)  # a source is sound as a whole, or not used
            sound += entry.size
        progress(written + sound, total)
    for name, data in content.small_files(incoming).items():
        if not _holds(directory / name, data):
            _replace(directory / name, [data])
            mended.append(name)
            written += len(data)
    for folder in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
        disk.sync_directory(folder)
    return Mended((*others, *mended), written, sound)


def _holds(path: Path, data: bytes) -> bool:
    return not path.is_symlink() and path.is_file() and path.read_bytes() == data


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Whatever is there gives way to a file, at once."""
    new = layout.staging() / "mended"
    disk.write(new, pieces)
    if path.is_dir() and not path.is_symlink():
        disk.remove_tree(path)
    disk.make_directory(path.parent)
    disk.move(new, path)
