"""Trials and the way back while the bundle in use is changed: neither is lost, whatever comes between."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime import disk, state
from edge_runtime.errors import StateError, StoreError
from edge_runtime.state import Trial
from edge_runtime.store import layout, switch
from edge_runtime.store.install import install
from edge_runtime.store.opening import open_bundle
from edge_runtime.store.prune import prune
from edge_runtime.store.status import status

Release = Callable[..., Path]
Put = Callable[..., None]


@pytest.fixture
def put(home: Path, release: Release) -> Put:
    """Installs a version of the tiny bundle."""

    def install_version(version: str, tries: int = 0) -> None:
        install(release(version), self_test=None, tries=tries)

    return install_version


def on_trial() -> tuple[str, int | None, int | None]:
    """The version in use, how often it may be opened, and how often it was."""
    (one,) = status("tiny")
    trial = one.trial or Trial("", limit=1)
    known = (trial.limit, trial.tries) if one.trial else (None, None)
    return layout.version(str(one.current)), *known


def at_each_swap(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Before and after `current` leads to another bundle."""
    replace = disk.replace_link

    def swap(path: Path, target: str) -> None:
        if path.name == layout.CURRENT:
            do()
        replace(path, target)
        if path.name == layout.CURRENT:
            do()

    monkeypatch.setattr(disk, "replace_link", swap)


def test_a_swap_that_fails_ends_no_trial(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle that stays in use keeps the tries it has left; the next install can be done."""
    put("1.0.0")
    put("1.1.0", tries=3)
    open_bundle("tiny").close()

    def full(path: Path, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(disk, "replace_link", full)
        with pytest.raises(StoreError, match="No space left on device, at activate"):
            put("1.2.0", tries=5)
    assert on_trial() == ("1.1.0", 3, 1)
    put("1.2.0")
    assert on_trial() == ("1.2.0", None, None)
    assert state.read("tiny").coming is None


def test_no_moment_is_without_a_trial(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves the old bundle with its tries, or the new one with its own."""
    put("1.0.0")
    put("1.1.0", tries=3)
    seen = []
    at_each_swap(monkeypatch, lambda: seen.append(on_trial()))
    put("1.2.0", tries=5)
    assert seen == [("1.1.0", 3, 0), ("1.2.0", 5, 0)]


def test_what_a_power_cut_left_is_a_trial(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the swap and its record: it is counted, lasts over a swap that comes to nothing, and ends."""
    put("1.0.0")
    kept = []
    with monkeypatch.context() as patch:
        at_each_swap(patch, lambda: kept.append(state.path("tiny").read_bytes()))
        put("1.1.0", tries=2)
    state.path("tiny").write_bytes(kept[1])
    assert on_trial() == ("1.1.0", 2, 0)
    open_bundle("tiny").close()
    assert on_trial() == ("1.1.0", 2, 1)
    put("1.1.0", tries=4)
    assert on_trial() == ("1.1.0", 2, 1)
    switch.mark_good("tiny")
    assert on_trial() == ("1.1.0", None, None)


def test_openings_while_a_bundle_is_swapped(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts for the bundle that it opens."""
    put("1.0.0")
    put("1.1.0", tries=3)
    seen = []
    at_each_swap(monkeypatch, lambda: (open_bundle("tiny").close(), seen.append(on_trial())))
    put("1.2.0", tries=5)
    assert seen == [("1.1.0", 3, 1), ("1.2.0", 5, 1)]
    assert on_trial() == ("1.2.0", 5, 1)


def test_the_old_bundle_is_marked_good_meanwhile(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial of the new one has not begun."""
    put("1.0.0")
    target, marked = layout.target, []

    def slow(name: str, link: str) -> str | None:
        found = target(name, link)
        if not marked:
            marked.append(found)
            monkeypatch.setattr(layout, "target", target)
            put("1.1.0", tries=3)
        return found

    monkeypatch.setattr(layout, "target", slow)
    assert switch.mark_good("tiny").startswith("1.0.0-")
    assert on_trial() == ("1.1.0", 3, 0)


@pytest.mark.parametrize(("again", "expected"), [(0, (3, 1)), (5, (5, 0))], ids=["goes on", "begins anew"])
def test_a_bundle_on_trial_is_damaged(put: Put, again: int, expected: tuple[int, int]) -> None:
    """Put right by the same file, it is still on trial."""
    put("1.0.0")
    put("1.1.0", tries=3)
    open_bundle("tiny").close()
    _damage()
    put("1.1.0", tries=again)
    assert on_trial() == ("1.1.0", *expected)


def test_a_good_bundle_is_damaged(put: Put) -> None:
    """Put right, it is what it was, and has nothing to prove."""
    put("1.0.0")
    put("1.1.0", tries=3)
    switch.mark_good("tiny")
    _damage()
    put("1.1.0", tries=3)
    assert on_trial() == ("1.1.0", None, None)


def _damage() -> None:
    directory = layout.current("tiny")
    assert directory is not None
    (directory / "quality.yaml").unlink()  # which other bundles share
    (directory / "quality.yaml").write_text("{}")


Cuts = Callable[[Callable[[], object]], Iterator[None]]


@pytest.fixture
def cuts(home: Path, monkeypatch: pytest.MonkeyPatch) -> Cuts:
    """The device as a power cut would leave it: before each rename of what is done, and at its end."""

    def each_cut(do: Callable[[], object]) -> Iterator[None]:
        copies: list[Path] = []

        def copy() -> None:
            copies.append(home.with_name(f"cut-{len(copies)}"))
            shutil.copytree(home, copies[-1], symlinks=True, copy_function=os.link)

        replace = os.replace
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *paths: (copy(), replace(*paths)))
            do()
        copy()
        assert len(copies) > 3
        for each in copies:
            monkeypatch.setenv("EDGE_RUNTIME_HOME", str(each))
            yield

    return each_cut


def gone_back() -> tuple[str, str]:
    """What is in use, and what is after a rollback, when what is not needed has been removed."""
    current = on_trial()[0]
    told = status("tiny")[0].previous
    prune()
    bundle = switch.rollback("tiny")
    assert bundle == told
    open_bundle("tiny").close()
    return current, layout.version(bundle)


def test_no_moment_is_without_a_way_back(put: Put, cuts: Cuts) -> None:
    """Wherever an update is cut off, it is the bundle that answered before, and prune keeps it."""
    put("1.0.0")
    put("1.1.0")
    seen = {gone_back() for _ in cuts(lambda: put("1.2.0"))}
    assert seen == {("1.1.0", "1.0.0"), ("1.2.0", "1.1.0")}


def test_both_links_change_places(put: Put, cuts: Cuts, release: Release) -> None:
    """A downgrade to the one before: that is no way back any more, and at no moment is there none."""
    put("1.0.0")
    put("1.1.0")

    def downgrade() -> None:
        install(release("1.0.0"), self_test=None, allow_downgrade=True)

    assert {gone_back() for _ in cuts(downgrade)} == {("1.1.0", "1.0.0"), ("1.0.0", "1.1.0")}


def test_an_install_that_is_undone(put: Put, cuts: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be recorded: while the links are put back there is a way back as well."""
    put("1.0.0")
    put("1.1.0")
    update, written = state.update, []

    def fails_second(name: str, change: Callable[[state.State], state.State]) -> Path:
        written.append(name)
        if len(written) == 2:
            raise StateError("the disk is full")
        return update(name, change)

    def undone() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(state, "update", fails_second)
            with pytest.raises(StateError, match="the disk is full"):
                put("1.2.0")
        assert not os.path.lexists(layout.folder("tiny") / switch.COMING)

    assert {gone_back() for _ in cuts(undone)} == {("1.1.0", "1.0.0"), ("1.2.0", "1.1.0")}


def test_an_install_after_one_that_was_cut_off(put: Put, cuts: Cuts) -> None:
    """Whatever that has left, it goes back to what answered last, and leaves two links and no more."""
    put("1.0.0")
    put("1.1.0")
    seen = set()
    for _ in cuts(lambda: put("1.2.0")):
        current = on_trial()[0]
        put("1.10.0")
        links = [path.name for path in layout.folder("tiny").iterdir() if path.is_symlink()]
        assert sorted(links) == [layout.CURRENT, layout.PREVIOUS]
        assert gone_back() == ("1.10.0", current)
        seen.add(current)
    assert seen == {"1.1.0", "1.2.0"}


def test_a_bundle_that_was_gone_back_from(put: Put, cuts: Cuts) -> None:
    """Is none that a second rollback goes to, wherever the first one was cut off."""
    put("1.0.0")
    put("1.1.0")
    seen = set()
    for _ in cuts(lambda: put("1.2.0")):
        seen.add(gone_back())
        with pytest.raises(StoreError, match="no bundle before"):
            switch.rollback("tiny")
    assert len(seen) == 2


def test_the_second_swap_fails(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle is installed by then, with its way back, and the next writer ends what was begun."""
    put("1.0.0")
    put("1.1.0")
    replace = disk.replace_link

    def refuse(path: Path, target: str) -> None:
        if path.name == layout.PREVIOUS:
            raise OSError(errno.EIO, "Input/output error", str(path))
        replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "replace_link", refuse)
        put("1.2.0")
    assert gone_back() == ("1.2.0", "1.1.0")


def test_a_directory_where_the_way_back_was_to_be(put: Put) -> None:
    """As a copy of a store has that followed its links: it gives way."""
    put("1.0.0")
    (layout.folder("tiny") / switch.COMING / "quality").mkdir(parents=True)
    put("1.1.0")
    assert gone_back() == ("1.1.0", "1.0.0")
