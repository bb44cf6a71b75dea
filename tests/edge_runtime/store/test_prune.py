"""What is kept, what is removed, and what status says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import manifest as manifests
from edge_runtime.errors import StoreError
from edge_runtime.store import layout, switch
from edge_runtime.store.install import install
from edge_runtime.store.prune import prune
from edge_runtime.store.status import status

Release = Callable[..., Path]


@pytest.fixture
def four(home: Path, release: Release) -> Path:
    """A device with four versions, one after the other."""
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.10.0"):
        install(release(version), self_test=None)
    return home


def versions(name: str = "tiny") -> list[str]:
    """That are installed, sorted as text."""
    return sorted(layout.version(bundle) for bundle in layout.installed(name))


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (9, ["1.0.0", "1.1.0", "1.10.0", "1.2.0"]),
        (3, ["1.1.0", "1.10.0", "1.2.0"]),
        (2, ["1.10.0", "1.2.0"]),
        (1, ["1.10.0"]),
    ],
)
def test_the_current_one_then_the_one_before_then_the_newest(four: Path, keep: int, left: list[str]) -> None:
    """And nothing of the others is left, in staging either."""
    (pruned,) = prune(keep=keep)
    assert len(pruned.removed) == 4 - len(left)
    assert versions() == left
    assert list((four / "staging").iterdir()) == []
    assert (four / "bundles/tiny/previous").is_symlink() == (keep > 1)


def test_the_current_one_need_not_be_the_newest(four: Path) -> None:
    """After a rollback the newer one goes first."""
    switch.rollback("tiny")
    prune(keep=1)
    assert versions() == ["1.2.0"]


def test_the_way_back_of_a_trial_is_kept(home: Path, release: Release) -> None:
    """Whatever is asked for; once it is good, no longer."""
    install(release("1.0.0"), self_test=None)
    install(release("1.1.0"), self_test=None, tries=3)
    prune(keep=1)
    assert versions() == ["1.0.0", "1.1.0"]
    switch.mark_good("tiny")
    prune(keep=1)
    assert versions() == ["1.1.0"]


def test_one_name_or_all(four: Path, release: Release) -> None:
    """Shared files stay as long as one bundle has them."""
    install(release("1.0.0", name="second"), self_test=None)
    assert [pruned.name for pruned in prune("second", keep=1)] == ["second"]
    assert len(versions()) == 4
    assert [pruned.name for pruned in prune()] == ["second", "tiny"]
    assert len(versions()) == 2
    assert install(release("1.0.0", name="second"), self_test=None).done == "nothing"


@pytest.mark.parametrize("name", [None, "alpha"])
def test_a_name_that_is_broken(four: Path, release: Release, name: str | None) -> None:
    """It keeps everything and says so, and the others are pruned."""
    install(release("1.0.0", name="alpha"), self_test=None)
    install(release("1.1.0", name="alpha"), self_test=None)
    (four / "bundles/alpha/current").unlink()
    (four / "bundles/alpha/current").mkdir()
    broken, *others = prune(name, keep=1)
    assert (broken.name, broken.removed, broken.in_use) == ("alpha", (), ())
    assert "alpha/current: expected a link to an installed bundle; it is none" in str(broken.problem)
    assert versions("alpha") == ["1.0.0", "1.1.0"]
    assert [(each.name, each.problem) for each in others] == ([] if name else [("tiny", None)])
    assert len(versions()) == (4 if name else 1)


def test_what_cannot_be_pruned(home: Path) -> None:
    """A name that is not there, no bundle at all, and keeping none."""
    assert prune() == ()
    with pytest.raises(StoreError, match="tiny: not installed"):
        prune("tiny")
    with pytest.raises(StoreError, match=r"keep: expected 1 or more, .*; found 0"):
        prune(keep=0)


def test_status(four: Path) -> None:
    """In use first, then by version; the newest event first."""
    (one,) = status()
    assert (one.name, one.trial) == ("tiny", None)
    assert one.current is not None
    assert one.previous is not None
    assert [kept.version for kept in one.bundles] == ["1.10.0", "1.2.0", "1.1.0", "1.0.0"]
    assert (one.bundles[0].bundle, one.bundles[1].bundle) == (one.current, one.previous)
    assert [event.bundle for event in one.events] == [kept.bundle for kept in one.bundles]
    assert all(kept.bytes and kept.bytes > 100_000 for kept in one.bundles)
    switch.rollback("tiny")
    assert [kept.version for kept in status("tiny")[0].bundles] == ["1.2.0", "1.10.0", "1.1.0", "1.0.0"]


def test_status_of_a_damaged_store(four: Path) -> None:
    """Still says what it can."""
    (four / "bundles/tiny/state.yaml").write_text("[")
    (four / "bundles/tiny/current" / manifests.FILENAME).write_text("nothing")
    (one,) = status()
    assert one.events == ()
    assert [kept.bytes is None for kept in one.bundles] == [True, False, False, False]


def test_status_of_nothing(home: Path) -> None:
    """And it creates nothing."""
    assert status() == ()
    with pytest.raises(StoreError, match="tiny: not installed"):
        status("tiny")
    assert not home.exists()
