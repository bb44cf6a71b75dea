"""Installs that die, or whose disk fails, at every step they take: the old bundle answers, or the new."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import edge_runtime
from build_tools.pack import pack
from edge_runtime import installed, self_test, store
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle

EVENTS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.scandir")
"""What Python tells its audit hooks of before it asks the kernel: every call that changes a folder."""

DIED, REFUSED, SURVIVED, DONE, WRONG = 77, 78, 79, 0, 1
"""Exit status: of a death, an error of ours, success despite the fault, success before it came, all else."""

Hook = Callable[[], None]


@pytest.fixture(scope="module")
def packed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Transport files of two versions that differ in the manifest alone, so that all else is linked."""
    folder = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("made") / "bundle"))
    old = pack(folder, folder.parent / "old.edge")
    manifest = manifests.read(folder / manifests.FILENAME)
    (folder / manifests.FILENAME).write_bytes(manifests.dump(replace(manifest, version="1.1.0")))
    return old, pack(folder, folder.parent / "new.edge")


@pytest.fixture
def store_with_old(home: Path, packed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The old version answers. Self-tests, which write nothing, are left out."""
    monkeypatch.setattr(self_test, "replay", lambda bundle: self_test.Outcome((), {}))
    store.install(packed[0])
    return home


class Fault:
    """Acts once, at the N-th file-system call."""

    def __init__(self, number: int, act: Hook) -> None:
        self.left, self.act = number, act

    def __call__(self, event: str, _: object) -> None:
        if event in EVENTS:
            self.left -= 1
            if self.left == 0:
                self.act()


def in_a_child(act: Callable[[], object], fault: Fault | None = None) -> int:
    """Runs `act` in a process of its own, with a fault in its file-system calls; gives its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads of this process: none of them is needed there
        child = os.fork()
    if child == 0:
        status = WRONG
        try:
            if fault is not None:
                sys.addaudithook(fault)
            act()
            status = SURVIVED if fault is not None and fault.left <= 0 else DONE
        except edge_runtime.Error:
            status = REFUSED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def answering() -> str:
    """The version that answers, all of its files proven; it does answer."""
    directory = installed.target("tiny", installed.CURRENT)
    assert directory is not None
    Bundle.open(directory, verify="full").close()
    with edge_runtime.open("tiny") as retriever:
        assert retriever.search("yeast", mode="lexical")
        return retriever.info().version


def fail_everywhere(act: Callable[[], object], stop: Hook, *, expected: int, restore: Hook) -> list[str]:
    """Stops `act` at its first call, its second, and so on until it ends; what answered after each."""
    answers = []
    for number in range(1, 2000):
        status = in_a_child(act, Fault(number, stop))
        answers.append(answering())
        assert status in (expected, SURVIVED, DONE), f"at call {number}"
        if status == DONE:
            return answers
        restore()
    raise AssertionError("it never ends")


def death() -> None:
    """As `kill -9` does it: nothing is flushed, nothing cleaned up."""
    os._exit(DIED)


def full_disk() -> None:
    """As the kernel tells of it."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken_disk() -> None:
    """As the kernel tells of it."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_death_at_every_call(store_with_old: Path, packed: tuple[Path, Path]) -> None:
    """Without any repair in between: each attempt finds what the one before has left."""
    count = 0

    def go_back() -> None:
        nonlocal count
        count += 1
        if answering() == "1.1.0":
            store.install(packed[0], allow_downgrade=True)

    answers = fail_everywhere(lambda: store.install(packed[1]), death, expected=DIED, restore=go_back)
    assert set(answers) == {"1.0.0", "1.1.0"}
    assert count > 100
    store.install(packed[1])
    assert answering() == "1.1.0"
    assert list((store_with_old / "staging").iterdir()) == []


@pytest.mark.parametrize("fault", [full_disk, broken_disk])
def test_a_disk_that_fails_at_every_call(
    store_with_old: Path, packed: tuple[Path, Path], fault: Hook
) -> None:
    """One error of ours each time; a link that cannot be made is copied instead."""
    saved = store_with_old.with_name("saved")
    shutil.copytree(store_with_old, saved, symlinks=True)

    def restore() -> None:
        shutil.rmtree(store_with_old)
        shutil.copytree(saved, store_with_old, symlinks=True)

    answers = fail_everywhere(lambda: store.install(packed[1]), fault, expected=REFUSED, restore=restore)
    assert set(answers) == {"1.0.0", "1.1.0"}


@pytest.mark.parametrize("limit", [0, 1, 1000, 20_000])
def test_a_disk_that_takes_no_more(
    store_with_old: Path, packed: tuple[Path, Path], limit: int, tmp_path: Path
) -> None:
    """In the middle of a file: nothing is left of it."""
    shutil.rmtree(store_with_old / "bundles")  # so that there is nothing to link

    def install() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        store.install(packed[1])

    assert in_a_child(install) == REFUSED
    assert installed.target("tiny", installed.CURRENT) is None
    assert store.install(packed[1]).activated


def test_rollback_dies_at_every_call(store_with_old: Path, packed: tuple[Path, Path]) -> None:
    """The new one answers, or the old one."""
    store.install(packed[1])
    seen = set()
    for number in range(1, 500):
        status = in_a_child(lambda: store.rollback("tiny"), Fault(number, death))
        seen.add(answering())
        if status == DONE:
            break
        store.install(packed[1])
        assert answering() == "1.1.0"
    assert seen == {"1.0.0", "1.1.0"}


def test_prune_dies_at_every_call(store_with_old: Path, packed: tuple[Path, Path]) -> None:
    """What is half removed is out of the way, and gone with the next change."""
    store.install(packed[1])
    (store_with_old / "bundles" / "tiny" / installed.PREVIOUS).unlink()
    for number in range(1, 500):
        status = in_a_child(lambda: store.prune("tiny"), Fault(number, death))
        assert answering() == "1.1.0"
        for each in installed.of("tiny"):  # whole, or not there
            Bundle.open(each.directory, verify="full").close()
        if status == DONE:
            break
    store.prune("tiny")
    assert [each.version for each in installed.of("tiny")] == ["1.1.0"]
    assert list((store_with_old / "staging").iterdir()) == []
