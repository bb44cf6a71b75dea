"""Holding a bundle's directory: what is gone is told from what cannot be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from edge_runtime.errors import StoreError
from edge_runtime.store import lock


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ENFILE, errno.EIO])
@pytest.mark.parametrize("call", ["os.open", "fcntl.flock"])
def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Installing it again would not help: the error is the system's own."""

    def refuse(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(call, refuse)
        with pytest.raises(StoreError) as caught:
            lock.hold(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read ({os.strerror(number)})"
    assert descriptors() == before


def test_what_is_gone(tmp_path: Path) -> None:
    """Removed, a file, or a link, which nobody follows."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("nothing", "file", "link", "file/below"):
        assert lock.hold(tmp_path / name) is None


def test_what_prune_looks_at(tmp_path: Path) -> None:
    """Cannot be held for a moment, and then it can."""
    with lock.unused(tmp_path) as free:
        assert free
        assert lock.hold(tmp_path) is None
    descriptor = lock.hold(tmp_path)
    assert descriptor is not None
    os.close(descriptor)
