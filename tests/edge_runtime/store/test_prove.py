"""Proving what is in use, as at a device's start: trials that end, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import device_config, state
from edge_runtime.errors import DeviceWarning, SelfTestError, StoreError
from edge_runtime.store import layout
from edge_runtime.store.install import install
from edge_runtime.store.prove import Proof, prove
from edge_runtime.store.prune import prune

Release = Callable[..., Path]


def passes(bundle: Path) -> None:
    """The golden queries give what they gave."""


def fails(bundle: Path) -> None:
    """They do not."""
    raise SelfTestError(f"{bundle}: garbage")


def current(name: str = "tiny") -> str:
    """The version in use."""
    return layout.version(str(layout.target(name, layout.CURRENT)))


@pytest.fixture
def on_trial(home: Path, release: Release) -> str:
    """1.0.0, and before it 1.1.0 with two tries; its directory's name."""
    install(release("1.0.0"), self_test=None)
    install(release("1.1.0"), self_test=None, tries=2)
    return str(layout.target("tiny", layout.CURRENT))


def test_a_trial_that_passes(on_trial: str) -> None:
    """Is over: it may be opened as often as one likes, and the record says who ended it."""
    assert prove(self_test=passes) == (Proof("tiny", on_trial, marked_good=True),)
    known = state.read("tiny")
    assert known.trial is None
    assert (known.events[0].action, known.events[0].bundle) == ("mark-good", on_trial)
    assert prove(self_test=passes) == (Proof("tiny", on_trial, marked_good=False),)
    assert state.read("tiny") == known


def test_a_trial_that_fails(on_trial: str) -> None:
    """Each start takes one of its tries; the one after the last goes back, and proves what that gave."""
    for tries in (1, 2):
        (proof,) = prove(self_test=fails)
        assert proof.bundle == on_trial
        assert proof.problem is not None
        assert proof.problem.endswith("garbage")
        trial = state.read("tiny").trial
        assert trial is not None
        assert trial.tries == tries
    with pytest.warns(DeviceWarning, match="opened 2 times and never marked good; rolled back to 1.0.0-"):
        (proof,) = prove(self_test=passes)
    assert proof.problem is None
    assert not proof.marked_good
    assert current() == "1.0.0"


def test_it_counts_before_anything_is_tried(on_trial: str) -> None:
    """A bundle in which the device dies has lost a try by then."""

    def dies(bundle: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove(self_test=dies)
    trial = state.read("tiny").trial
    assert trial is not None
    assert trial.tries == 1


def test_each_on_its_own(home: Path, release: Release) -> None:
    """Damaged files of one are no reason to leave the other unproven; nobody goes back without a trial."""
    install(release("1.0.0", name="other"), self_test=None)
    install(release("1.1.0", name="other"), self_test=None)
    install(release("1.0.0"), self_test=None)
    damaged = layout.current("other")
    assert damaged is not None
    (damaged / "quality.yaml").write_text("{}")
    bad, good = prove(self_test=passes)
    assert (bad.name, good.name) == ("other", "tiny")
    assert bad.problem is not None
    assert "quality.yaml" in bad.problem
    assert good.problem is None
    assert current("other") == "1.1.0"


def test_another_bundle_arrives_meanwhile(on_trial: str, release: Release) -> None:
    """The trial of that one goes on, for it is not what was proven."""
    proven = []

    def slow(bundle: Path) -> None:
        proven.append(bundle.name)
        install(release("1.2.0"), self_test=None, tries=3)

    prove(self_test=slow)
    trial = state.read("tiny").trial
    assert proven == [on_trial]
    assert trial is not None
    assert (trial.bundle.partition("-")[0], trial.limit) == ("1.2.0", 3)


def test_it_is_held(on_trial: str) -> None:
    """Who prunes meanwhile leaves it."""
    held = []

    def slow(bundle: Path) -> None:
        install(
            bundle.parent / str(layout.target("tiny", layout.PREVIOUS)), self_test=None, allow_downgrade=True
        )
        held.extend(prune(keep=1)[0].in_use)

    prove(self_test=slow)
    assert held == [on_trial]


def test_a_folder_of_that_name(
    home: Path, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service starts in ``/``, where a bundle called ``opt`` must not be taken for a folder there."""
    install(release("1.0.0", name="opt"), self_test=None)
    (tmp_path / "opt").mkdir()
    monkeypatch.chdir(tmp_path)
    (proof,) = prove(self_test=passes)
    assert proof.problem is None


def test_what_nobody_trusted_has_signed(home: Path, release: Release) -> None:
    """Is not proven, even where its bytes are sound."""
    install(release("1.0.0"), self_test=None)
    key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
    (home / device_config.FILENAME).write_text(f"trusted_keys: [{key}]\n")
    (proof,) = prove(self_test=passes)
    assert proof.problem is not None
    assert "not signed" in proof.problem


def test_nothing_to_prove(home: Path) -> None:
    """An empty store is sound; a name that is not installed is a mistake."""
    assert prove(self_test=passes) == ()
    with pytest.raises(StoreError, match="nothing: not installed"):
        prove("nothing", self_test=passes)
