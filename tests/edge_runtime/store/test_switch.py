"""Trials while the bundle in use is changed: each bundle keeps its own, whatever comes between."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import disk, state
from edge_runtime.errors import StoreError
from edge_runtime.state import Trial
from edge_runtime.store import layout, switch
from edge_runtime.store.install import install
from edge_runtime.store.opening import open_bundle
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
