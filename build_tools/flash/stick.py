"""A stick: the transport file, whole or not at all, read back, for ``edge-runtime install`` on the device."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from build_tools.errors import FlashError
from build_tools.flash.source import Source
from build_tools.pack import pack
from build_tools.workspace import write_atomically
from edge_runtime import disk
from edge_runtime.bundle import sha256

Progress = Callable[[int, int], object]
"""Told of bytes done and all bytes."""

_CHUNK = 1 << 20


def write(source: Source, folder: Path, *, progress: Progress) -> Path:
    """Puts the transport file into a folder and returns its path; an older one stays until this one is whole.

    Raises:
        FlashError: it cannot be written, or the stick gives other bytes than it was given.
    """
    target = folder / source.transport_name
    if not source.given.is_dir():
        return _copy(source.given, target, progress)
    with tempfile.TemporaryDirectory(prefix="edge-flash-") as temporary:
        try:
            packed = pack(source.directory, Path(temporary, target.name))
        except OSError as error:
            where = error.filename or temporary
            raise FlashError(f"{where}: {error.strerror}; set TMPDIR to a folder with room") from None
        return _copy(packed, target, progress)


def _copy(file: Path, target: Path, progress: Progress) -> Path:
    digest, total = hashlib.sha256(), file.stat().st_size

    def copied(writing: IO[bytes]) -> None:
        with file.open("rb") as reading:
            while piece := reading.read(_CHUNK):
                digest.update(piece)
                writing.write(piece)
                progress(reading.tell(), total)

    try:
        write_atomically(target, copied)
        disk.sync_directory(target.parent)
        disk.forget_cached(target)
        same = sha256(target) == digest.hexdigest()
    except OSError as error:
        large = "; FAT has no files beyond 4 GB" if error.errno == errno.EFBIG else ""
        raise FlashError(f"{target}: {error.strerror}{large}") from None
    if not same:
        raise FlashError(f"{target}: the stick gives other bytes than were written; replace it")
    return target
