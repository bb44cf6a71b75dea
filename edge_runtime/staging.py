"""Brings a bundle's files to the disk: hashed on their way, linked where they are already, synchronised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.errors import IntegrityError
from edge_runtime.manifest import FileEntry, Manifest
from edge_runtime.transport import Source


@dataclass(frozen=True, slots=True)
class Copied:
    """Bytes that were written, and those of files that were linked instead."""

    written: int
    linked: int


def copy(source: Source, manifest: Manifest, directory: Path, *, held: Mapping[str, Path]) -> Copied:
    """Fills `directory`, which must not exist, with the bundle.

    Args:
        source: where its files come from.
        manifest: the source's own, parsed.
        directory: on the same file system as what is `held`.
        held: files by the sha256 that they should have; they are hashed before they are linked.

    Raises:
        IntegrityError: a file is not what the manifest lists.
        OSError: the disk failed.
    """
    directory.mkdir(parents=True)
    written = linked = 0
    for entry, pieces in source.files(manifest.files):
        path = directory / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        known = held.get(entry.sha256)
        if known is not None and _sound(known, entry) and _linked(known, path):
            linked += entry.size
            _check(entry, pieces, source.name)
        else:
            written += _write(path, _hashed(entry, pieces, source.name))
    written += _write(directory / manifests.FILENAME, iter([source.manifest]))
    if source.signature is not None:
        written += _write(directory / manifests.SIGNATURE, iter([source.signature]))
    return Copied(written, linked)


def mend(directory: Path, manifest: Manifest, staged: Path) -> None:
    """Puts the files of `staged` in place of those in `directory` that are damaged, each by one rename.

    Whoever has a damaged file open keeps it until it is opened anew.

    Raises:
        OSError: the disk failed.
    """
    for entry in manifest.files:
        path = directory / entry.path
        if path.is_symlink() or not _sound(path, entry):
            path.parent.mkdir(parents=True, exist_ok=True)
            (staged / entry.path).replace(path)
    for name in (manifests.FILENAME, manifests.SIGNATURE):
        if (staged / name).exists():
            (staged / name).replace(directory / name)
    listed = {directory / entry.path for entry in manifest.files}
    listed |= {directory / manifests.FILENAME, directory / manifests.SIGNATURE}
    for path in sorted(directory.rglob("*")):
        if path not in listed and (path.is_symlink() or not path.is_dir()):
            path.unlink()
    sync_folders(directory)


def sync_folders(directory: Path) -> None:
    """The names in `directory` and all below it; its files are synchronised as they are written."""
    for folder, _, _ in os.walk(directory):
        sync_folder(Path(folder))
    sync_folder(directory.parent)


def sync_folder(folder: Path) -> None:
    """The names in one folder: without it, a power cut can undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_from_memory(directory: Path) -> None:
    """So that the next reading is of the disk. The kernel may keep pages that someone has mapped."""
    for folder, _, names in os.walk(directory):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _linked(old: Path, new: Path) -> bool:
    """False where the file system has no hard links."""
    try:
        os.link(old, new)
    except OSError:
        return False
    return True


def _sound(path: Path, entry: FileEntry) -> bool:
    try:
        return path.stat().st_size == entry.size and sha256(path) == entry.sha256
    except OSError:
        return False


def _check(entry: FileEntry, pieces: Iterator[bytes], name: str) -> None:
    """What is not written must be right, too: a transport file is sound as a whole or refused."""
    for _ in _hashed(entry, pieces, name):
        pass


def _hashed(entry: FileEntry, pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The pieces, until they are more than was announced; raises at the end if they are something else."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        if size > entry.size:
            break
        yield piece
    if size != entry.size or digest.hexdigest() != entry.sha256:
        found = f"sha256 {digest.hexdigest()[:12]}…" if size == entry.size else "another size"
        raise IntegrityError(
            f"{name}: {entry.path}: {found}; expected {entry.size} bytes with sha256 {entry.sha256[:12]}…; "
            "copy it again"
        )


def _write(path: Path, pieces: Iterator[bytes]) -> int:
    size = 0
    with path.open("xb") as file:
        for piece in pieces:
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size
