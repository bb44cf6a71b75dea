"""What is installed from: a transport file, the same down a pipe, or a bundle directory, all of one shape."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast

from edge_runtime import bundle as bundles
from edge_runtime import manifest as manifests
from edge_runtime import signature as signatures
from edge_runtime.archive import Archive
from edge_runtime.errors import ArchiveError, BundleError
from edge_runtime.manifest import FileEntry, Manifest

STANDARD_INPUT = "-"

SILENCE_SECONDS = 60.0
"""After these a sender that says nothing is taken for gone: a broken line may look like that for hours."""

_CHUNK = 1 << 18


class Incoming(Protocol):
    """A bundle that is not installed yet; see `Archive`, which is one."""

    source: str
    manifest_bytes: bytes
    manifest: Manifest
    signature: bytes | None

    def files(self) -> Iterator[tuple[FileEntry, Iterator[bytes] | None]]:
        """Every file in the manifest's order, once, with its bytes in pieces; nobody has hashed them.

        None stands for the bytes of a file that does not come along, because the store has it.
        """
        ...


class Folder:
    """A bundle directory as `Incoming`: on a stick, or where it was built."""

    def __init__(self, directory: Path) -> None:
        """Reads the manifest and the signature; compares the files' sizes.

        Raises:
            BundleError: not a bundle, or not as it was built (see its subclasses).
        """
        self.source = str(directory)
        self._directory = directory
        self.manifest = bundles.read_manifest(directory)
        bundles.check_files(directory, self.manifest, verify="size")
        self.manifest_bytes = self._small(manifests.FILENAME, manifests.MAX_BYTES) or b""
        self.manifest = manifests.parse(self.manifest_bytes, str(directory / manifests.FILENAME))
        self.signature = self._small(manifests.SIGNATURE, signatures.MAX_BYTES)

    def files(self) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
        """As `Incoming` has it. Raises `BundleError` for a file that cannot be read."""
        for entry in self.manifest.files:
            yield entry, self._content(self._directory / entry.path)

    def _small(self, name: str, most: int) -> bytes | None:
        path = self._directory / name
        if not path.exists():
            return None
        content = bytearray()
        for piece in self._content(path):
            content += piece
            if len(content) > most:
                raise BundleError(f"{path}: expected at most {most} bytes; found more; copy the bundle again")
        return bytes(content)

    def _content(self, path: Path) -> Iterator[bytes]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})") from None


class Listed:
    """A bundle as `Incoming` of which only the manifest came; the store is to have all of its files."""

    def __init__(self, manifest_bytes: bytes, signature: bytes | None, source: str) -> None:
        """Reads the manifest; `source` names it in errors.

        Raises:
            BundleError: it cannot be used (see its subclasses).
        """
        self.source, self.manifest_bytes, self.signature = source, manifest_bytes, signature
        self.manifest = manifests.parse(manifest_bytes, f"{source}, {manifests.FILENAME}")

    def files(self) -> Iterator[tuple[FileEntry, None]]:
        """As `Incoming` has it."""
        return ((entry, None) for entry in self.manifest.files)


@contextmanager
def opened(source: str | os.PathLike[str] | Incoming) -> Iterator[Incoming]:
    """A transport file or a bundle directory by its path, or standard input where that is ``-``.

    Raises:
        BundleError: there is none, or it is not a bundle (see its subclasses).
    """
    if not isinstance(source, (str, os.PathLike)):
        yield source
        return
    if source == STANDARD_INPUT:
        yield Archive(_impatient(sys.stdin.buffer), "standard input")
        return
    path = Path(source)
    try:
        file = None if path.is_dir() else path.open("rb")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not a path"
        raise ArchiveError(f"{path}: cannot be read ({problem}); expected a .edge file or a bundle") from None
    if file is None:
        yield Folder(path)
        return
    with file:
        yield Archive(_impatient(file), str(path))


def _impatient(stream: IO[bytes]) -> IO[bytes]:
    """The same stream, unless it is of a kind that may be silent: then one that gives up."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except OSError:  # of no file at all
        return stream
    if stat.S_ISREG(mode):
        return stream
    return io.BufferedReader(_Pipe(cast(io.BufferedReader, stream)), _CHUNK)


class _Pipe(io.RawIOBase):
    """A pipe, or whatever else may say nothing for ever, with a bound on that; it is left open."""

    def __init__(self, stream: io.BufferedReader) -> None:
        super().__init__()
        self._stream = stream
        self._ready = select.poll()
        self._ready.register(stream, select.POLLIN)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What is there, once something is. Raises `OSError`, `TimeoutError` among them."""
        if not self._ready.poll(SILENCE_SECONDS * 1000):
            raise TimeoutError(errno.ETIMEDOUT, f"silent for {SILENCE_SECONDS:.0f} s")
        data = self._stream.read1(len(buffer))  # which reads nothing ahead
        buffer[: len(data)] = data
        return len(data)
