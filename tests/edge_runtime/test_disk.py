"""Who may read what is written: everybody, whatever the umask, as far as it is new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime import disk


@pytest.fixture
def umask() -> Iterator[None]:
    """That of a root who is careful."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """The rights of a file or a directory."""
    return path.stat().st_mode & 0o7777


@pytest.mark.usefixtures("umask")
def test_directories_under_root(home: Path) -> None:
    """And ROOT; not those above it, which are no business of the store's."""
    disk.make_directory(home / "bundles/tiny")
    assert [mode(path) for path in (home, home / "bundles", home / "bundles/tiny")] == [0o755] * 3
    disk.make_directory(home.with_name("aside") / "deep")
    assert mode(home.with_name("aside")) == mode(home.with_name("aside") / "deep") == 0o700


@pytest.mark.usefixtures("umask")
def test_a_directory_above_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is made as the umask has it."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(home / "above/root"))
    disk.make_directory(home / "above/root")
    assert [mode(path) for path in (home, home / "above", home / "above/root")] == [0o700, 0o700, 0o755]


@pytest.mark.usefixtures("umask")
def test_what_is_there_stays_private(home: Path) -> None:
    """Somebody may have made it so."""
    home.mkdir()
    disk.make_directory(home / "bundles")
    (home / "part").write_bytes(b"a")
    disk.append(home / "part", [b"b"])
    assert [mode(home), mode(home / "part")] == [0o700, 0o600]


@pytest.mark.usefixtures("umask")
def test_files(home: Path) -> None:
    """Written, appended to or replaced."""
    disk.make_directory(home)
    disk.write(home / "written", [b"a"])
    disk.append(home / "appended", [b"a"])
    disk.replace_file(home / "replaced", b"a")
    assert [mode(path) for path in home.iterdir()] == [0o644] * 3


def test_a_group_that_shares_a_store(home: Path) -> None:
    """Keeps the rights that its umask leaves it."""
    before = os.umask(0o002)
    try:
        disk.make_directory(home / "bundles")
    finally:
        os.umask(before)
    assert mode(home) == mode(home / "bundles") == 0o775
