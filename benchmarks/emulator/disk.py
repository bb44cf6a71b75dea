"""ext4 disks, made of a folder's files without mounting anything."""

from __future__ import annotations

import os
from pathlib import Path

from emulator import tools

_OVERHEAD = 1.15
_LEAST_MB = 16


def write(path: Path, folder: Path, *, size_mb: int | None = None) -> None:
    """Makes a sparse raw disk with the files of `folder`.

    Args:
        size_mb: its capacity; by default little more than the files.

    Raises:
        EmulatorError: the files do not fit, or mke2fs fails.
    """
    size = size_mb or _needed_mb(folder)
    # An inode for each block: packages are made of many small files.
    command: list[str | Path] = ["mke2fs", "-q", "-t", "ext4", "-i", "4096", "-E", "root_owner=0:0"]
    command += ["-d", folder, path, f"{size}M"]
    tools.call(command, about=f"making a disk of {size} MB")


def copy(source: Path, target: Path) -> None:
    """A disk of its own; unwritten blocks stay unwritten.

    Raises:
        EmulatorError: cp fails.
    """
    tools.call(["cp", "--sparse=always", "--reflink=auto", source, target], about="copying a disk")


def _needed_mb(folder: Path) -> int:
    """Every file rounded up to blocks of 4 KiB, and something for the file system's own tables."""
    files = (Path(base, name) for base, _, names in os.walk(folder) for name in names)
    blocks = sum(path.lstat().st_size // 4096 + 1 for path in files)
    return _LEAST_MB + round(blocks * 4096 / 1e6 * _OVERHEAD)
