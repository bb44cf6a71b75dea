"""A bundle directory to its transport form: one uncompressed zip, ready to be mapped.

Members start on 16 KiB boundaries (a page of a Raspberry Pi 5), the manifest first. Names, order, times and
modes are fixed, so the same bundle always gives the same bytes.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import IO

from build_tools.errors import BuildError
from build_tools.workspace import write_atomically
from edge_runtime import manifest as manifests
from edge_runtime.archive import ALIGNMENT
from edge_runtime.bundle import Bundle
from edge_runtime.zip_records import PADDING_ID

_LOCAL_HEADER = 30
_ZIP64_FIELD = 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(directory: Path, target: Path) -> Path:
    """Writes the transport file of a sound bundle and returns its path.

    Raises:
        BundleError: the directory is not a bundle, or is damaged.
        BuildError: `target` lies in the bundle, which may hold nothing but its own files.
    """
    if target.resolve().is_relative_to(directory.resolve()):
        raise BuildError(f"{target}: lies in the bundle itself; write the transport file somewhere else")
    bundle = Bundle.open(directory)
    members = [manifests.FILENAME, *(entry.path for entry in bundle.manifest.files)]
    signature = manifests.FILENAME + ".minisig"
    if (directory / signature).exists():
        members.insert(1, signature)
    bundle.close()

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for member in members:
                _add(archive, directory / member, member)

    write_atomically(target, write)
    return target


def _add(archive: zipfile.ZipFile, source: Path, member: str) -> None:
    info = zipfile.ZipInfo(member, _EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16
    info.file_size = source.stat().st_size
    # zipfile puts a field of its own before ours where it expects more than a 32-bit size.
    zip64 = _ZIP64_FIELD if info.file_size * 1.05 > zipfile.ZIP64_LIMIT else 0
    info.extra = _padding(_position(archive) + _LOCAL_HEADER + len(member.encode()) + zip64)
    with source.open("rb") as reader, archive.open(info, "w") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def _position(archive: zipfile.ZipFile) -> int:
    assert archive.fp is not None
    return archive.fp.tell()


def _padding(data_offset: int) -> bytes:
    """An extra field that moves the member's data to the next boundary."""
    header = 4
    size = -(data_offset + header) % ALIGNMENT
    return PADDING_ID.to_bytes(2, "little") + size.to_bytes(2, "little") + bytes(size)
