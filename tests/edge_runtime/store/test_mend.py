"""Repair: damaged files of an installed bundle give way to sound ones, and nothing else is touched."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import edge_runtime
from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime.errors import BundleError, IntegrityError, StoreError
from edge_runtime.store import layout, mend
from edge_runtime.store.install import install
from edge_runtime.store.mend import repair

Release = Callable[..., Path]


@pytest.fixture
def installed(home: Path, release: Release) -> Path:
    """The directory of the tiny bundle in the store."""
    return home / "bundles/tiny" / install(release("1.0.0"), self_test=None).bundle


def zeroed(path: Path) -> None:
    """As an SD card forgets: the same size, other bytes."""
    size = path.stat().st_size
    path.unlink()
    path.write_bytes(bytes(size))


def cut(path: Path) -> None:
    """Half of it."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])


def turned_into_a_folder(path: Path) -> None:
    """With something in it."""
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"?")


def turned_into_a_link(path: Path) -> None:
    """To a copy that is outside, whose bytes are even right."""
    outside = path.parents[4] / path.name
    shutil.copy(path, outside)
    path.unlink()
    path.symlink_to(outside)


DAMAGES = (zeroed, cut, Path.unlink, turned_into_a_folder, turned_into_a_link)
MEMBERS = ("dense.usearch", "documents.sqlite", "tokenizer.json", "manifest.yaml")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file(
    installed: Path, release: Release, member: str, damage: Callable[[Path], object]
) -> None:
    """It alone is written anew, and every byte is right again; a second time there is nothing to do."""
    size = (installed / member).stat().st_size
    before = {path: path.stat().st_ino for path in installed.rglob("*") if path.is_file()}
    damage(installed / member)
    with pytest.raises(BundleError):
        edge_runtime.open("tiny", verify="full")
    repaired = repair(release("1.0.0"))
    assert (repaired.bundle, repaired.version, repaired.written) == (installed.name, "1.0.0", size)
    assert set(repaired.files) >= {member}
    edge_runtime.open("tiny", verify="full").close()
    after = {path: path.stat().st_ino for path in installed.rglob("*") if path.is_file()}
    assert {path for path in before if before[path] != after[path]} <= {installed / member}
    assert repair(release("1.0.0")).files == ()


def test_a_link_instead_of_a_folder(installed: Path, release: Release, tmp_path: Path) -> None:
    """Nothing is written through it."""
    elsewhere = tmp_path / "elsewhere"
    (installed / "lexical").rename(elsewhere)
    (elsewhere / "terms.bin").write_bytes(b"mine")
    (installed / "lexical").symlink_to(elsewhere)
    repair(release("1.0.0"))
    edge_runtime.open("tiny", verify="full").close()
    assert (elsewhere / "terms.bin").read_bytes() == b"mine"


def test_files_that_nobody_listed(installed: Path, release: Release) -> None:
    """Go; the bundle would not open with them."""
    (installed / "core.1234").write_bytes(b"crash")
    repaired = repair(release("1.0.0"))
    assert (repaired.files, repaired.written) == (("core.1234",), 0)
    edge_runtime.open("tiny", verify="full").close()


def test_who_has_it_open_is_not_disturbed(installed: Path, release: Release) -> None:
    """Mappings of the damaged file stay; those who open it now have the sound one."""
    with edge_runtime.open("tiny") as retriever:
        before = retriever.search("yeast and dough")
        zeroed(installed / "tokenizer.json")
        repair(release("1.0.0"))
        assert retriever.search("yeast and dough") == before


def test_an_install_repairs_too(
    installed: Path, release: Release, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place: at no moment is the bundle in use without a directory."""
    zeroed(installed / "dense.usearch")
    move, seen = disk.move, []
    monkeypatch.setattr(disk, "move", lambda *paths: (move(*paths), seen.append(installed.is_dir())))
    outcome = install(release("1.0.0"), self_test=None)
    size = (installed / "dense.usearch").stat().st_size
    assert (outcome.done, outcome.written) == ("installed", size)
    assert seen == [True]
    assert list((home / "staging").iterdir()) == []


def test_an_older_bundle_that_is_kept(installed: Path, release: Release) -> None:
    """It need not be the one in use, which stays so: afterwards rollback works."""
    newer = install(release("2.0.0"), self_test=None).bundle
    cut(installed / "documents.npy")
    assert repair(release("1.0.0")).files == ("documents.npy",)
    assert layout.target("tiny", layout.CURRENT) == newer
    edge_runtime.open(installed).close()


def test_another_bundle_is_not_taken(installed: Path, release: Release) -> None:
    """Neither another version nor the same version with other files."""
    for other in (release("2.0.0"), release("1.0.0", card="another")):
        with pytest.raises(StoreError, match=r"tiny .* is not installed; edge-runtime install brings it"):
            repair(other)


def test_a_damaged_source(installed: Path, release: Release, tmp_path: Path) -> None:
    """Is refused, and what was damaged before stays as it was."""
    zeroed(installed / "tokenizer.json")
    data = bytearray(release("1.0.0").read_bytes())
    start = data.index((installed / "documents.npy").read_bytes())
    data[start + 100] ^= 1
    source = tmp_path / "tiny.edge"
    source.write_bytes(data)
    with pytest.raises(BundleError, match=r"documents\.npy"):
        repair(source)
    with pytest.raises(IntegrityError, match="not as it was built"):
        bundles.Bundle.open(installed)
    assert repair(release("1.0.0")).files


def test_a_full_disk(installed: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error, and nothing that was there is gone."""
    cut(installed / "dense.usearch")
    size = (installed / "dense.usearch").stat().st_size

    def full(path: Path, pieces: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(mend.disk, "write", full)
    with pytest.raises(StoreError, match=r"No space left on device; tiny 1\.0\.0 is not repaired"):
        repair(release("1.0.0"))
    assert (installed / "dense.usearch").stat().st_size == size
