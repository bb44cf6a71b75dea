"""The transport file on a stick."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.errors import FlashError
from build_tools.flash import source, stick
from build_tools.pack import pack
from edge_runtime.store.install import install

from .conftest import Version


def test_from_a_directory_and_from_a_file(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes, which a device installs; nothing else lies beside them."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "home"))
    packed = pack(version("1.0.0"), tmp_path / "other name.edge")
    told: list[tuple[int, int]] = []
    for number, given in enumerate((version("1.0.0"), packed)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with source.opened(given) as opened:
            path = stick.write(opened, folder, progress=lambda done, total: told.append((done, total)))
        assert list(folder.iterdir()) == [path]
        assert path.name == "golden-1.0.0.edge"
        assert path.read_bytes() == packed.read_bytes()
    size = packed.stat().st_size
    assert told[-1] == (size, size)
    assert install(path, self_test=None).done == "installed"


def test_a_stick_that_is_full(version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older file stays."""
    packed = pack(version("1.0.0"), tmp_path / "packed")
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "golden-1.0.0.edge").write_text("older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with source.opened(packed) as opened:
        monkeypatch.setattr("build_tools.workspace.os.fsync", full)
        with pytest.raises(FlashError, match="No space left on device"):
            stick.write(opened, folder, progress=lambda done, total: None)
        monkeypatch.undo()
    assert [path.read_text() for path in folder.iterdir()] == ["older"]


def test_no_room_to_pack_it(version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The computer's disk is full, not the stick: the error says which, and the way out."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with source.opened(version("1.0.0")) as opened:
        monkeypatch.setattr("build_tools.workspace.os.fsync", full)
        expected = (
            r"edge-flash-.*/golden-1\.0\.0\.edge: No space left on device; set TMPDIR to a folder with room"
        )
        with pytest.raises(FlashError, match=expected):
            stick.write(opened, tmp_path, progress=lambda done, total: None)
    assert list(tmp_path.glob("*.edge")) == []


def test_a_stick_that_lies(version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it gives back is compared with what was written."""
    monkeypatch.setattr(stick, "sha256", lambda path: "0" * 64)
    with source.opened(version("1.0.0")) as opened, pytest.raises(FlashError, match="replace it"):
        stick.write(opened, tmp_path, progress=lambda done, total: None)
