"""Older editions laid out for rsync, which is played here: it may do anything to its folder, and no harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import disk
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import FileEntry
from edge_runtime.store import arrivals, bases, layout, prune, sources
from edge_runtime.store.install import install

Release = Callable[..., Path]

OLD, NEW = "old " * 30_000, "new " * 30_000
"""Of the quality card: more than `bases.SMALLEST` bytes."""


@pytest.fixture
def card(home: Path, release: Release) -> tuple[FileEntry, bytes]:
    """1.0.0 is installed; what 1.1.0 has in the place of its large card."""
    install(release("1.0.0", card=OLD), self_test=None)
    with sources.opened(release("1.1.0", card=NEW)) as incoming:
        entry = incoming.manifest.entry(incoming.manifest.quality)
        contents = {each: b"".join(pieces or ()) for each, pieces in incoming.files()}
    disk.make_directory(layout.incoming())
    return entry, contents[entry]


def installed() -> Path:
    """The large card of the bundle in use, which is whole."""
    current = layout.current("tiny")
    assert current is not None
    Bundle.open(current, verify="full").close()
    return current / manifests.read(current / manifests.FILENAME).quality


def lay_out(entry: FileEntry) -> Path:
    """What rsync would start from."""
    assert bases.lay_out("tiny", [entry]) == (entry,)
    return arrivals.delta() / entry.sha256


def test_what_rsync_makes_is_taken(card: tuple[FileEntry, bytes]) -> None:
    """It starts from the installed file itself, and its rename leaves that alone."""
    entry, content = card
    base = lay_out(entry)
    assert base.samefile(installed())
    base.with_name(".temporary").write_bytes(content)
    base.with_name(".temporary").replace(base)
    assert bases.take(entry)
    assert arrivals.whole() == {(entry.sha256, entry.size): layout.incoming() / entry.sha256}
    assert installed().read_bytes() != content


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, content: None,
        lambda path, content: path.unlink(),
        lambda path, content: replaced(path, content[:-1]),
        lambda path, content: replaced(path, content[:-1] + b"~"),
        lambda path, content: (path.unlink(), path.mkdir()),
        lambda path, content: (path.unlink(), path.symlink_to(installed())),
        lambda path, content: (path.unlink(), os.mkfifo(path)),
        lambda path, content: (replaced(path, content), os.link(path, path.with_name("second"))),
    ],
    ids=["untouched", "gone", "short", "other bytes", "folder", "link", "pipe", "two names"],
)
def test_anything_else_is_not(card: tuple[FileEntry, bytes], spoil: Callable[[Path, bytes], object]) -> None:
    """The file is then sent whole; whatever lies there goes."""
    entry, content = card
    spoil(lay_out(entry), content)
    assert not bases.take(entry)
    arrivals.clear_delta()
    assert list(layout.incoming().iterdir()) == []
    installed()


def replaced(path: Path, content: bytes) -> None:
    """As rsync does it."""
    path.unlink()
    path.write_bytes(content)


def test_what_has_begun_goes_on(card: tuple[FileEntry, bytes]) -> None:
    """No file is begun twice."""
    entry, content = card
    (layout.incoming() / f"{entry.sha256}.part").write_bytes(content[:1000])
    assert bases.lay_out("tiny", [entry]) == ()


def test_nothing_to_start_from(card: tuple[FileEntry, bytes]) -> None:
    """Another bundle, a path that it had not, a small file, a small older edition."""
    entry, _ = card
    small = installed().parent / "golden.jsonl"
    assert bases.lay_out("other", [entry]) == ()
    for changed in (
        FileEntry("new.bin", entry.size, entry.sha256),
        FileEntry(entry.path, bases.SMALLEST - 1, entry.sha256),
        FileEntry(small.name, entry.size, entry.sha256),
    ):
        assert bases.lay_out("tiny", [changed]) == ()
    assert not arrivals.delta().exists()


@pytest.mark.parametrize("problem", [1, 18, 28, 30, 31])  # EPERM, EXDEV, ENOSPC, EROFS, EMLINK
def test_no_hard_links(card: tuple[FileEntry, bytes], monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    """As on FAT: nothing is laid out, and nothing fails."""

    def refused(*_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(os, "link", refused)
    assert bases.lay_out("tiny", [card[0]]) == ()


def test_a_bundle_in_use_that_is_gone(card: tuple[FileEntry, bytes]) -> None:
    """Its manifest or its file: as if there were no older edition."""
    entry, _ = card
    installed().unlink()
    assert bases.lay_out("tiny", [entry]) == ()
    current = layout.current("tiny")
    assert current is not None
    shutil.rmtree(current.resolve())
    assert bases.lay_out("tiny", [entry]) == ()


def test_what_was_left(card: tuple[FileEntry, bytes]) -> None:
    """A prune removes it, with what rsync did not finish."""
    base = lay_out(card[0])
    base.with_name(f".{base.name}.Ab12Cd").write_text("half")
    prune.prune("tiny")
    assert list(layout.incoming().iterdir()) == []
    installed()


def test_rsync_puts_a_last_file_there(card: tuple[FileEntry, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """While its folder is removed: that is tried again, for as long as it takes an orphan to end."""
    base, times = lay_out(card[0]), []
    remove = os.rmdir

    def late(path: Path) -> None:
        if not times:
            base.with_name("late").write_text("")
        times.append(path)
        remove(path)

    monkeypatch.setattr(os, "rmdir", late)
    arrivals.clear_delta()
    assert len(times) == 2
    assert not arrivals.delta().exists()
