"""Opening by name: which bundle, how it is checked, and what becomes of one that nobody marks good."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from build_tools.signing import SecretKey
from edge_runtime import bundle as bundles
from edge_runtime import device_config, state
from edge_runtime.cli import main
from edge_runtime.errors import (
    BundleError,
    ConfigError,
    DeviceWarning,
    IntegrityError,
    QueryError,
    SignatureError,
    StoreError,
)
from edge_runtime.store import layout, lock, switch
from edge_runtime.store.install import install
from edge_runtime.store.opening import open_bundle
from edge_runtime.store.prune import prune

Release = Callable[..., Path]


@pytest.fixture
def put(home: Path, release: Release) -> Callable[..., None]:
    """Installs a version of the tiny bundle."""

    def install_version(version: str, tries: int = 0) -> None:
        install(release(version), self_test=None, tries=tries)

    return install_version


def version() -> str:
    """Of what opening by name gives."""
    bundle = open_bundle("tiny")
    bundle.close()
    return bundle.manifest.version


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    seen: list[Path] = []
    sha256 = bundles.sha256
    monkeypatch.setattr(bundles, "sha256", lambda path: (seen.append(path), sha256(path))[1])
    return seen


def test_an_installed_bundle_is_not_hashed_again(
    put: Callable[..., None], bundle: Path, hashed: list[Path]
) -> None:
    """It was when it was installed; a directory is, and so is whatever is asked for."""
    put("1.0.0")
    hashed.clear()
    open_bundle("tiny").close()
    assert hashed == []
    open_bundle("tiny", verify="full").close()
    assert len(hashed) > 5
    hashed.clear()
    open_bundle(bundle).close()
    assert len(hashed) > 5
    with pytest.raises(QueryError, match="verify: expected 'full' or 'size'"):
        open_bundle("tiny", verify="none")  # type: ignore[arg-type]


def test_a_directory_of_that_name_comes_first(
    put: Callable[..., None], bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it did before there was a store; so does everything that is not just a name."""
    put("1.1.0")
    assert version() == "1.1.0"
    bundle_copy.rename(bundle_copy.with_name("tiny"))
    monkeypatch.chdir(bundle_copy.parent)
    assert version() == "1.0.0"
    assert layout.is_name("other")
    for path in (
        "tiny",
        "./other",
        "other/",
        "/other",
        "",
        ".",
        "..",
        "Other",
        "a\0b",
        Path("other"),
        3,
        None,
    ):
        assert not layout.is_name(path)


def test_a_folder_of_that_name_that_is_no_bundle(
    put: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents' own, say: it hides no installed bundle. Where none is, the error is about the folder."""
    (tmp_path / "here/tiny").mkdir(parents=True)
    (tmp_path / "here/other").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BundleError, match=r"tiny/manifest\.yaml: cannot be read"):
        version()
    put("1.1.0")
    assert version() == "1.1.0"
    assert not layout.is_name("other")


def test_a_working_directory_that_may_not_be_searched(
    put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees a directory of that name there."""
    put("1.0.0")
    look = os.stat

    def closed(path: Any, **options: Any) -> os.stat_result:
        if os.fspath(path) == "tiny":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "tiny")
        return look(path, **options)

    monkeypatch.setattr(os, "stat", closed)
    assert version() == "1.0.0"


def test_no_such_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names both ways to get one; a transport file in the working directory is told apart."""
    with pytest.raises(
        BundleError, match=r"tiny: no such bundle directory; build one .* or install one with"
    ):
        edge_runtime.open("tiny")
    (tmp_path / "tiny.edge").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=r"tiny.edge is a transport file; install it: edge-runtime install"):
        edge_runtime.open("tiny.edge")
    assert not home.exists()


def test_what_is_open_stays_open(put: Callable[..., None]) -> None:
    """An update changes what is opened next. What is open is not pruned: some of it is read late."""
    put("1.0.0")
    with edge_runtime.open("tiny") as old:
        before = old.search("yeast and dough")
        put("1.1.0")
        with edge_runtime.open("tiny") as new:
            assert new.info().version == "1.1.0"
        (pruned,) = prune(keep=1)
        assert pruned.removed == ()
        assert [name.partition("-")[0] for name in pruned.in_use] == ["1.0.0"]
        assert old.search("yeast and dough") == before
        assert old.search("yeast", where={"section": "bread"})
        assert list(old.duplicates(0.5))
    (pruned,) = prune(keep=1)
    assert [name.partition("-")[0] for name in pruned.removed] == ["1.0.0"]
    assert version() == "1.1.0"


def test_a_bundle_that_is_pruned_while_it_is_looked_for(
    put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding and holding it, it is replaced and removed: the next look finds the new one."""
    put("1.0.0")
    hold, looks = lock.hold, []

    def late(directory: Path) -> int | None:
        looks.append(directory)
        if len(looks) == 1:
            put("1.1.0")
            prune(keep=1)
        return hold(directory)

    monkeypatch.setattr(lock, "hold", late)
    assert version() == "1.1.0"
    assert len(looks) == 2


def test_a_bundle_that_is_gone(put: Callable[..., None], home: Path) -> None:
    """Somebody removed it by hand; the state of the descriptors is as before."""
    put("1.0.0")
    directory = layout.current("tiny")
    assert directory is not None
    directory.rename(home / "elsewhere")
    with pytest.raises(BundleError, match="missing, or cannot be read; install tiny again"):
        edge_runtime.open("tiny")
    put("1.0.0")
    assert version() == "1.0.0"


def test_a_file_that_is_gone(put: Callable[..., None]) -> None:
    """Sizes are compared, and the bundle is free for pruning after the error."""
    put("1.0.0")
    directory = layout.current("tiny")
    assert directory is not None
    (directory / "documents.npy").unlink()
    with pytest.raises(IntegrityError, match=r"documents.npy: missing"):
        edge_runtime.open("tiny")
    with lock.unused(directory) as free:
        assert free


def test_a_trial_that_ends_badly(put: Callable[..., None]) -> None:
    """Opened three times and never marked good: the fourth gets the bundle before it, with a warning."""
    put("1.0.0")
    put("1.1.0", tries=3)
    assert [version() for _ in range(3)] == ["1.1.0"] * 3
    with pytest.warns(
        DeviceWarning, match=r"1.1.0-.* was opened 3 times and never .*; rolled back to 1.0.0-"
    ):
        assert version() == "1.0.0"
    assert version() == "1.0.0"
    assert state.read("tiny").trial is None
    assert state.read("tiny").events[0].action == "rollback"


def test_questions_beside_a_service(put: Callable[..., None]) -> None:
    """While a process is at work with the bundle on trial, others cost it no try; each start of it does."""
    put("1.0.0")
    put("1.1.0", tries=3)
    with edge_runtime.open("tiny"):
        assert {version() for _ in range(9)} == {"1.1.0"}
        trial = state.read("tiny").trial
        assert trial is not None
        assert trial.tries == 1
    assert [version() for _ in range(2)] == ["1.1.0"] * 2
    with pytest.warns(DeviceWarning, match="rolled back to 1.0.0-"):
        assert version() == "1.0.0"


def test_a_trial_whose_last_try_is_at_work(put: Callable[..., None]) -> None:
    """It is not gone back from under the process that has come through."""
    put("1.0.0")
    put("1.1.0", tries=1)
    with edge_runtime.open("tiny"):
        assert version() == "1.1.0"
        switch.mark_good("tiny")
    assert version() == "1.1.0"


def test_whoever_looks_for_a_holder_keeps_nobody_out(put: Callable[..., None]) -> None:
    """Opening tries again: for a moment nobody else can hold the directory."""
    put("1.0.0")
    directory = layout.current("tiny")
    assert directory is not None
    looking = lock.unused(directory)
    looking.__enter__()
    threading.Timer(0.01, looking.__exit__, (None, None, None)).start()
    assert version() == "1.0.0"


def test_a_trial_that_ends_well(put: Callable[..., None]) -> None:
    """Marked good once, it stays."""
    put("1.0.0")
    put("1.1.0", tries=2)
    assert version() == "1.1.0"
    assert switch.mark_good("tiny").startswith("1.1.0-")
    assert {version() for _ in range(5)} == {"1.1.0"}


def test_a_bundle_that_takes_the_process_down_is_counted(put: Callable[..., None]) -> None:
    """Before anything is loaded."""
    put("1.0.0")
    put("1.1.0", tries=1)
    directory = layout.current("tiny")
    assert directory is not None
    (directory / "documents.npy").unlink()
    with pytest.raises(IntegrityError):
        edge_runtime.open("tiny")
    with pytest.warns(DeviceWarning):
        assert version() == "1.0.0"


def test_a_trial_with_no_way_back(put: Callable[..., None], home: Path) -> None:
    """The first bundle stays; so does one whose predecessor is damaged, or during an install."""
    put("1.0.0", tries=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {version() for _ in range(3)} == {"1.0.0"}
        put("1.1.0", tries=1)
        assert version() == "1.1.0"
        with lock.writer():
            assert version() == "1.1.0"
    (home / "bundles/tiny/previous/documents.npy").unlink()
    with pytest.warns(DeviceWarning, match=r"(?s)1.1.0-.* was opened 1 times .*, and stays: .*npy: missing"):
        assert version() == "1.1.0"


def test_a_trial_and_a_configuration_that_is_none(put: Callable[..., None], home: Path) -> None:
    """Whom this device trusts is not known then: what is in use stays."""
    put("1.0.0")
    put("1.1.0", tries=1)
    assert version() == "1.1.0"
    (home / device_config.FILENAME).write_text("trusted_keys: all\n")
    with pytest.warns(DeviceWarning, match=r"1.1.0-.* and stays: .*device.yaml: trusted_keys"):
        assert version() == "1.1.0"


def test_the_way_back_of_an_update_over_a_trial(put: Callable[..., None], home: Path) -> None:
    """Is the last one that was good, not one that nobody has marked so."""
    put("1.0.0")
    put("1.1.0", tries=1)
    put("1.2.0", tries=1)
    prune()
    assert sorted(map(layout.version, layout.installed("tiny"))) == ["1.0.0", "1.2.0"]
    assert version() == "1.2.0"
    with pytest.warns(DeviceWarning, match="rolled back to 1.0.0-"):
        assert version() == "1.0.0"


@pytest.mark.parametrize("prepared", ["marked good", "first", "gone", "downgrade", "no state"])
def test_a_trial_that_is_the_way_back(
    put: Callable[..., None], release: Release, home: Path, prepared: str
) -> None:
    """Where it is good by now, or where there is no other."""
    if prepared != "first":
        put("1.0.0")
    put("1.1.0", tries=2)
    if prepared == "marked good":
        switch.mark_good("tiny")
    if prepared == "gone":
        (home / "bundles/tiny/previous").resolve().rename(home / "elsewhere")
    if prepared == "no state":
        state.path("tiny").write_text("[")
    newest = "1.0.0" if prepared == "downgrade" else "1.2.0"
    install(release(newest), self_test=None, allow_downgrade=True)
    assert version() == newest
    assert switch.rollback("tiny").startswith("1.1.0-")


def test_an_update_ends_the_trial_before_it(put: Callable[..., None]) -> None:
    """It has its own, or none."""
    put("1.0.0")
    put("1.1.0", tries=1)
    put("1.2.0")
    assert {version() for _ in range(3)} == {"1.2.0"}


def test_rollback(put: Callable[..., None], home: Path) -> None:
    """Once; the one that was left can be installed again."""
    with pytest.raises(StoreError, match="tiny: not installed; edge-runtime status lists what is"):
        switch.rollback("tiny")
    put("1.0.0")
    with pytest.raises(StoreError, match=r"tiny: no bundle before 1.0.0-.* to roll back to"):
        switch.rollback("tiny")
    put("1.1.0")
    assert switch.rollback("tiny").startswith("1.0.0-")
    assert version() == "1.0.0"
    assert not (home / "bundles/tiny/previous").is_symlink()
    with pytest.raises(StoreError, match="to roll back to"):
        switch.rollback("tiny")
    put("1.1.0")
    assert version() == "1.1.0"


def test_no_rollback_to_a_damaged_bundle(put: Callable[..., None], home: Path) -> None:
    """The current one works, as far as anybody knows."""
    put("1.0.0")
    put("1.1.0")
    old = home / "bundles/tiny/previous/documents.npy"
    old.write_bytes(bytes(old.stat().st_size))
    with pytest.raises(IntegrityError, match=r"documents.npy: sha256"):
        switch.rollback("tiny")
    assert version() == "1.1.0"


def test_no_rollback_to_what_would_not_open(put: Callable[..., None], home: Path) -> None:
    """One bit of its manifest has changed, or nobody has signed it whom this device trusts."""
    put("1.0.0")
    put("1.1.0")
    manifest = home / "bundles/tiny/previous/manifest.yaml"
    sound = manifest.read_bytes()
    manifest.write_bytes(sound + b"# another\n")
    with pytest.raises(IntegrityError, match=r"manifest\.yaml: sha256 .* edge-runtime repair puts it right"):
        switch.rollback("tiny")
    manifest.write_bytes(sound)
    config = home / device_config.FILENAME
    config.write_text(f"trusted_keys: [{SecretKey.generate().public.line()}]\n")
    with pytest.raises(SignatureError, match="not signed"):
        switch.rollback("tiny")
    config.write_text("trusted_keys: all\n")
    with pytest.raises(ConfigError, match="trusted_keys"):
        switch.rollback("tiny")
    assert version() == "1.1.0"
    config.unlink()
    assert switch.rollback("tiny").startswith("1.0.0-")


def test_mark_good_without_a_bundle(home: Path) -> None:
    """Nothing is good that is not there; a name that can be none is refused before it becomes a path."""
    with pytest.raises(StoreError, match="tiny: not installed"):
        switch.mark_good("tiny")
    for name in ("../tiny", "", "Tiny", "a/b", "x" * 65):
        with pytest.raises(StoreError, match="expected the name of an installed bundle"):
            switch.mark_good(name)
    assert not home.exists()


def test_opening_loads_no_openssl(put: Callable[..., None], home: Path) -> None:
    """Though the manifest is hashed: 4 MB for a few kilobytes would be too much."""
    put("1.0.0")
    code = "import sys, edge_runtime; edge_runtime.open('tiny').close(); print('_hashlib' in sys.modules)"
    environment = {**os.environ, "EDGE_RUNTIME_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_changed_manifest(put: Callable[..., None], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own sha256 is in no manifest, but in the name that it was installed under."""
    put("1.0.0")
    (path,) = home.glob("bundles/tiny/1.0.0-*/manifest.yaml")
    path.write_bytes(path.read_bytes() + b"# another\n")
    for verify in ("size", "full"):
        with pytest.raises(
            IntegrityError, match=r"manifest\.yaml: sha256 \w{12}…; it was installed with \w{12}…"
        ):
            edge_runtime.open("tiny", verify=verify)  # type: ignore[arg-type]
    assert main(["verify", "tiny", "--files-only"]) == 1
    assert "edge-runtime repair puts it right" in capsys.readouterr().err
    copy = home.parent / path.parent.name
    path.parent.rename(copy)  # has that name by chance, and is in no store
    edge_runtime.open(copy, verify="full").close()
