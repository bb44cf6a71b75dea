"""What is kept between runs: made once, whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from emulator import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _write(folder: Path) -> None:
    (folder / "file").write_text("made", "utf-8")


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the desktop keeps such things; an empty variable counts as none (XDG Base Directory, 0.8)."""
    assert cache.root() == tmp_path / "edge-runtime/device"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.root() == Path("/home/somebody/.cache/edge-runtime/device")


def test_the_same_inputs_are_made_once() -> None:
    """Other inputs, also the same bytes cut elsewhere, have a folder of their own."""
    first = cache.folder("image", ["ab", b"c"], _write)
    assert cache.folder("image", ["ab", "c"], pytest.fail) == first
    assert cache.folder("image", ["a", "bc"], _write) != first
    assert cache.folder("disk", ["ab", "c"], _write) != first
    assert (first / "file").read_text("utf-8") == "made"


def test_what_failed_is_not_kept() -> None:
    """The next call makes it anew, and no draft is left."""

    def fail(folder: Path) -> None:
        _write(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.folder("image", ["a"], fail)
    assert [path for path in cache.root().iterdir() if path.is_dir()] == []
    assert (cache.folder("image", ["a"], _write) / "file").exists()


def test_two_at_once_make_one() -> None:
    """The second waits for the first and takes what it made."""
    made = []
    both = threading.Barrier(2)

    def slowly(folder: Path) -> None:
        made.append(folder)
        _write(folder)

    def ask() -> None:
        both.wait()
        cache.folder("image", ["a"], slowly)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
