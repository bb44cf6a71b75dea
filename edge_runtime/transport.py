"""What a bundle comes from: a transport file, standard input, or a directory, all of one shape."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edge_runtime import manifest as manifests
from edge_runtime.archive import Archive
from edge_runtime.bundle import read_manifest
from edge_runtime.errors import BundleError, IntegrityError
from edge_runtime.manifest import FileEntry

STDIN = "-"
_CHUNK = 1 << 20

Pieces = Iterator[tuple[FileEntry, Iterator[bytes]]]


class Source(Protocol):
    """A bundle to be installed; its files come once, in order, each to be read before the next."""

    name: str
    manifest: bytes
    signature: bytes | None

    @property
    def digest(self) -> str:
        """The sha256 of the manifest."""

    def files(self, entries: tuple[FileEntry, ...]) -> Pieces:
        """The bytes of each; raises IntegrityError for what is missing, unlisted or not of its size."""


@contextmanager
def opened(source: str | os.PathLike[str]) -> Iterator[Source]:
    """What `source` names: ``"-"`` is standard input, a file a transport file, a folder a bundle's directory.

    Raises:
        BundleError: there is nothing, or it cannot be read, or is no bundle.
    """
    if source == STDIN:
        yield _Transport(Archive(sys.stdin.buffer, "standard input"))
        return
    path = Path(source)
    if path.is_dir():
        yield _Directory(path)
        return
    try:
        if path.exists() and not path.is_file():
            raise BundleError(
                f"{path}: neither a file nor a directory; for a pipe, give it as standard input"
            )
        file = path.open("rb")
    except OSError as error:
        problem = f"{path}: cannot be read ({error.strerror}); expected a transport file or a directory"
        raise BundleError(problem) from None
    with file:
        yield _Transport(Archive(file, str(path)))


class _Transport:
    def __init__(self, archive: Archive) -> None:
        self._archive, self.name = archive, archive.name
        self.manifest, self.signature = archive.manifest(), archive.signature()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    def files(self, entries: tuple[FileEntry, ...]) -> Pieces:
        yield from self._archive.files(entries)
        self._archive.finish()


class _Directory:
    def __init__(self, directory: Path) -> None:
        read_manifest(directory)  # its errors say what is wrong with a directory
        self._directory, self.name = directory, str(directory)
        self.manifest = (directory / manifests.FILENAME).read_bytes()
        signature = directory / manifests.SIGNATURE
        self.signature = signature.read_bytes() if signature.is_file() else None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    def files(self, entries: tuple[FileEntry, ...]) -> Pieces:
        for entry in entries:
            yield entry, self._pieces(entry)

    def _pieces(self, entry: FileEntry) -> Iterator[bytes]:
        path = self._directory / entry.path
        try:
            if path.is_symlink() or not path.is_file():
                raise IntegrityError(f"{path}: expected a plain file; copy the bundle again")
            with path.open("rb") as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except OSError as error:
            raise IntegrityError(
                f"{path}: cannot be read ({error.strerror}); copy the bundle again"
            ) from None
