"""Disks are made of folders, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulator import disk, tools
from emulator.errors import EmulatorError

pytestmark = pytest.mark.skipif(bool(tools.missing({"mke2fs": "e2fsprogs"})), reason="no mke2fs here")

EXT4_MAGIC = (0x438, b"\x53\xef")
"""Linux, Documentation/filesystems/ext4/super.rst: s_magic, at 0x38 of the superblock."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Many small files, a large one and none."""
    made = tmp_path / "folder"
    (made / "empty").mkdir(parents=True)
    (made / "large").write_bytes(bytes(range(256)) * 40_000)
    for number in range(3000):
        (made / f"small-{number}").write_text("x", "utf-8")
    return made


def test_everything_fits(folder: Path, tmp_path: Path) -> None:
    """By default it is as large as it needs to be; a copy has the same bytes."""
    disk.write(tmp_path / "disk.img", folder)
    content = (tmp_path / "disk.img").read_bytes()
    offset, magic = EXT4_MAGIC
    assert content[offset : offset + 2] == magic
    disk.copy(tmp_path / "disk.img", tmp_path / "copy.img")
    assert (tmp_path / "copy.img").read_bytes() == content


def test_a_disk_that_is_too_small(folder: Path, tmp_path: Path) -> None:
    """mke2fs says so."""
    with pytest.raises(EmulatorError, match="making a disk of 8 MB: status 1: "):
        disk.write(tmp_path / "disk.img", folder, size_mb=8)
