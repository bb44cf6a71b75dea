"""Installing: what is left after each step that can fail, and what is in use then."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import edge_runtime
from edge_runtime import disk, self_test, state
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.errors import (
    ArchiveError,
    BundleError,
    IntegrityError,
    SelfTestError,
    StateError,
    StoreError,
)
from edge_runtime.store import admission, layout, lock, mend, sources, staging, switch
from edge_runtime.store.held import Held
from edge_runtime.store.install import Outcome, Step, install
from edge_runtime.store.status import status

Release = Callable[..., Path]

ROOT = Path(__file__).parents[3]


def put(source: Path | str, **options: object) -> Outcome:
    """Installs without the self-test, which takes a second and has tests of its own."""
    return install(source, **({"self_test": None} | options))  # type: ignore[arg-type]


def in_use(name: str = "tiny") -> str:
    """The version that opening by name gives, with every byte of it checked."""
    directory = layout.current(name)
    assert directory is not None
    bundle = Bundle.open(directory, verify="full")
    bundle.close()
    return bundle.manifest.version


def left_over() -> list[str]:
    """What should not be there between installs."""
    return [path.name for path in layout.staging().iterdir()]


def test_the_first_bundle(home: Path, release: Release) -> None:
    """It passes its self-test here, and then it has a name."""
    outcome = install(release("1.0.0"), self_test=self_test.replay)
    assert (outcome.done, outcome.name, outcome.version, outcome.previous) == (
        "installed",
        "tiny",
        "1.0.0",
        None,
    )
    assert outcome.linked == 0
    assert str((home / "bundles/tiny/current").readlink()) == outcome.bundle
    assert in_use() == "1.0.0"
    assert left_over() == []
    assert [(event.action, event.result) for event in state.read("tiny").events] == [("install", "done")]
    with edge_runtime.open("tiny") as retriever:
        assert retriever.info().version == "1.0.0"
        assert retriever.search("yeast and dough")


def test_an_update_keeps_the_old_one_and_shares_its_files(home: Path, release: Release) -> None:
    """What both have in common is written once."""
    put(release("1.0.0"))
    outcome = put(release("1.1.0"))
    assert outcome.previous is not None
    assert outcome.previous.startswith("1.0.0-")
    assert outcome.written < 10_000 < outcome.linked
    assert in_use() == "1.1.0"
    assert str((home / "bundles/tiny/previous").readlink()) == outcome.previous
    folder = home / "bundles/tiny"
    for same in ("dense.usearch", "documents.sqlite"):
        assert (folder / "current" / same).samefile(folder / "previous" / same)
    assert not (folder / "current/quality.yaml").samefile(folder / "previous/quality.yaml")


def test_from_standard_input(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which cannot go back."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        feeder = threading.Thread(target=_feed, args=(writing, release("1.0.0")))
        feeder.start()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        assert put("-").done == "installed"
        feeder.join()
    assert in_use() == "1.0.0"


def _feed(descriptor: int, path: Path) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(path.read_bytes())


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A standard input that says what is written to this descriptor."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        yield writing


def test_nobody_waits_for_a_silent_pipe(home: Path, release: Release, silent: int) -> None:
    """Before its manifest came, it keeps no other writer out; then it is installed as any other."""
    put(release("1.0.0"))
    done: list[Outcome] = []
    waiting = threading.Thread(target=lambda: done.append(put("-")))
    waiting.start()
    waiting.join(0.2)
    assert put(release("1.1.0"), wait_seconds=0.0).done == "installed"
    assert switch.rollback("tiny", wait_seconds=0.0).startswith("1.0.0-")
    _feed(silent, release("1.2.0"))
    waiting.join(60)
    assert [outcome.done for outcome in done] == ["installed"]
    assert in_use() == "1.2.0"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_pipe_that_falls_silent(
    home: Path, release: Release, silent: int, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Is given up, at the head or in the middle of a file, and leaves nothing."""
    monkeypatch.setattr(sources, "SILENCE_SECONDS", 0.1)
    whole = release("1.0.0").read_bytes()
    with os.fdopen(silent, "wb", buffering=0) as pipe:
        feeder = threading.Thread(target=pipe.write, args=(whole[: int(len(whole) * share)],))
        feeder.start()
        with pytest.raises(ArchiveError, match=r"standard input: cannot be read \(silent for 0 s\)"):
            put("-")
        feeder.join()
    assert layout.names() == ()
    assert put(release("1.0.0"), wait_seconds=0.0).done == "installed"


def test_a_repair_from_a_silent_pipe(home: Path, release: Release, silent: int) -> None:
    """As an install: it keeps nobody out before it says something."""
    put(release("1.0.0"))
    done: list[str] = []
    waiting = threading.Thread(target=lambda: done.append(mend.repair("-").version))
    waiting.start()
    waiting.join(0.2)
    put(release("1.1.0"), wait_seconds=0.0)
    _feed(silent, release("1.0.0"))
    waiting.join(60)
    assert done == ["1.0.0"]


def test_a_pipe_by_its_path(home: Path, release: Release, tmp_path: Path) -> None:
    """As a shell gives it for what another program prints."""
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(release("1.0.0").read_bytes()))
    feeder.start()
    assert put(tmp_path / "pipe").done == "installed"
    feeder.join()
    assert in_use() == "1.0.0"


def test_from_a_directory(home: Path, bundle_copy: Path) -> None:
    """A stick with the directory form on it; a signature comes along."""
    (bundle_copy / manifests.SIGNATURE).write_text("signed")
    outcome = put(bundle_copy)
    installed = home / "bundles/tiny" / outcome.bundle
    assert (installed / manifests.SIGNATURE).read_text() == "signed"
    assert in_use() == "1.0.0"
    assert put(bundle_copy).done == "nothing"


def test_a_damaged_directory(home: Path, bundle_copy: Path) -> None:
    """By sizes before anything is written, by hashes while it is."""
    index = bundle_copy / "dense.usearch"
    content = index.read_bytes()
    index.write_bytes(content[:-1])
    with pytest.raises(IntegrityError, match="is not as it was built"):
        put(bundle_copy)
    assert not (home / "bundles").exists()
    index.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"dense.usearch: sha256 .*; expected .*; copy it again"):
        put(bundle_copy)
    assert left_over() == []
    assert layout.names() == ()


def test_nothing_to_do(home: Path, release: Release) -> None:
    """The same bundle again, unless what is there is damaged: then it is brought again."""
    first = put(release("1.0.0"))
    assert put(release("1.0.0")).done == "nothing"
    damaged = home / "bundles/tiny" / first.bundle / "documents.npy"
    damaged.write_bytes(damaged.read_bytes()[::-1])
    outcome = put(release("1.0.0"))
    assert outcome.done == "installed"
    assert 0 < outcome.written < 10_000  # the damaged file alone; the others are linked
    assert in_use() == "1.0.0"
    assert left_over() == []


def test_a_damaged_file_is_not_shared(home: Path, release: Release) -> None:
    """An update writes it anew."""
    first = put(release("1.0.0"))
    damaged = home / "bundles/tiny" / first.bundle / "dense.usearch"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    put(release("1.1.0"))
    assert in_use() == "1.1.0"


def test_a_careful_root(home: Path, release: Release) -> None:
    """Under umask 077 a bundle is for every user, as are the files that it shares with one from before."""
    before = os.umask(0o077)
    try:
        first = home / "bundles/tiny" / put(release("1.0.0")).bundle
        assert _rights(home) == {0o755, 0o644}
        for path in first.rglob("*.npy"):  # as older versions left it
            path.chmod(0o600)
        second = home / "bundles/tiny" / put(release("1.1.0")).bundle
    finally:
        os.umask(before)
    assert _rights(second) == {0o755, 0o644}
    assert _rights(first) == {0o755, 0o644, 0o600}


def _rights(folder: Path) -> set[int]:
    """Of all that readers need: not of locks, which only writers open."""
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return {path.stat().st_mode & 0o7777 for path in found if not path.name.endswith("lock")}


def test_where_there_are_no_hard_links(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FAT card: files are written instead."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    put(release("1.0.0"))
    monkeypatch.setattr(os, "link", refuse)
    assert put(release("1.1.0")).linked == 0
    assert in_use() == "1.1.0"


def test_no_downgrade(home: Path, release: Release) -> None:
    """Unless it is asked for; the same version with other content is none. 1.10 is newer than 1.9."""
    put(release("1.9.0"))
    put(release("1.10.0"))
    with pytest.raises(StoreError, match=r"tiny 1.9.0 is older than 1.10.0, .*--allow-downgrade"):
        put(release("1.9.0"))
    assert in_use() == "1.10.0"
    put(release("1.10.0", card="corrected"))
    assert put(release("1.9.0"), allow_downgrade=True).done == "installed"
    assert in_use() == "1.9.0"


def test_a_refusal_takes_nothing_away(home: Path, release: Release) -> None:
    """An older bundle that is still kept stays, though it is not what is gone back to."""
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        put(release(version))
    with pytest.raises(StoreError, match=r"tiny 1\.0\.0 is older than 1\.2\.0"):
        put(release("1.0.0"))
    assert len(layout.installed("tiny")) == 3


def test_a_dry_run(home: Path, release: Release, tmp_path: Path) -> None:
    """All of the bundle is read and nothing is written, not even a folder."""
    outcome = put(release("1.0.0"), dry_run=True)
    assert outcome.done == "would install"
    assert outcome.written > 100_000
    assert not home.exists()
    data = bytearray(release("1.0.0").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.edge").write_bytes(data)
    with pytest.raises(BundleError):
        put(tmp_path / "damaged.edge", dry_run=True)
    assert not home.exists()
    put(release("1.0.0"))
    assert put(release("1.0.0"), dry_run=True).done == "nothing"
    assert put(release("1.1.0"), dry_run=True).linked > 100_000
    assert in_use() == "1.0.0"


def test_no_room(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is written; what is shared needs none."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: admission.RESERVE_BYTES + 40_000)
    with pytest.raises(StoreError, match=r"tiny needs .* MB, and 33.6 MB to spare; 33.6 MB are free"):
        put(release("1.0.0"))
    assert layout.names() == ()
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1 << 40)
    put(release("1.0.0"))
    monkeypatch.setattr(disk, "free_bytes", lambda _: admission.RESERVE_BYTES + 40_000)
    put(release("1.1.0"))
    assert in_use() == "1.1.0"


@pytest.fixture
def updated(home: Path, release: Release) -> Iterator[Path]:
    """A device with 1.0.0; a test fails to bring 1.1.0. All is as before then, and it can be brought."""
    put(release("1.0.0"))
    yield home
    assert in_use() == "1.0.0"
    assert [name.partition("-")[0] for name in layout.installed("tiny")] == ["1.0.0"]
    assert left_over() == []
    failed = state.read("tiny").events[0]
    assert failed.bundle.startswith("1.1.0-")
    assert failed.result.startswith("failed at ")
    put(release("1.1.0"))
    assert in_use() == "1.1.0"


def test_a_self_test_that_fails(updated: Path, release: Release) -> None:
    """Sound files are not enough."""

    def fails(directory: Path) -> None:
        assert directory.parent == updated / "bundles/tiny"
        raise SelfTestError("garbage")

    with pytest.raises(SelfTestError, match="garbage"):
        put(release("1.1.0"), self_test=fails)
    assert state.read("tiny").events[0].result == "failed at self-test: garbage"


def test_a_self_test_that_is_interrupted(updated: Path, release: Release) -> None:
    """Ctrl-C is passed on, and cleaned up after."""

    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(release("1.1.0"), self_test=interrupted)


def test_an_archive_that_ends_early(updated: Path, release: Release, tmp_path: Path) -> None:
    """The line broke."""
    whole = release("1.1.0").read_bytes()
    (tmp_path / "part.edge").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match="cut short"):
        put(tmp_path / "part.edge")
    assert state.read("tiny").events[0].result.startswith("failed at stage: ")


def test_a_source_whose_name_is_no_utf8(updated: Path, release: Release, tmp_path: Path) -> None:
    """The error that names it is written down, and what was known before stays."""
    known = state.read("tiny").events
    source = tmp_path / os.fsdecode(b"caf\xe9.edge")
    source.write_bytes(release("1.1.0").read_bytes()[:-1])
    with pytest.raises(ArchiveError):
        put(source)
    failed, *others = state.read("tiny").events
    assert r"caf\udce9.edge: " in failed.result
    assert tuple(others) == known


def test_a_disk_that_forgets(updated: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is not what was written, as cheap cards do it."""
    forget = disk.forget_cached

    def rot(path: Path) -> None:
        forget(path)
        if path.name == "quality.yaml":
            path.write_bytes(bytes(path.stat().st_size))

    with monkeypatch.context() as patch:
        patch.setattr(disk, "forget_cached", rot)
        with pytest.raises(IntegrityError, match=r"quality.yaml: sha256"):
            put(release("1.1.0"))
    assert state.read("tiny").events[0].result.startswith("failed at read back: ")


def test_a_state_that_cannot_be_written(
    updated: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the switch: it is undone, for nobody would know of it."""
    written, update = [], state.update

    def fails_second(name: str, change: Callable[[state.State], state.State]) -> Path:
        written.append(name)
        if len(written) == 2:
            assert layout.target("tiny", layout.CURRENT) != layout.target("tiny", layout.PREVIOUS)
            raise StateError("the disk is full")
        return update(name, change)

    monkeypatch.setattr(state, "update", fails_second)
    with pytest.raises(StateError, match="the disk is full"):
        put(release("1.1.0"))
    assert layout.target("tiny", layout.PREVIOUS) is None


def test_the_steps_are_told_in_order(home: Path, release: Release) -> None:
    """For whoever waits; while it is written, how much of it."""
    told: list[tuple[Step, int, int]] = []
    put(
        release("1.0.0"),
        self_test=lambda _: None,
        progress=lambda step, done, total: told.append((step, done, total)),
    )
    steps = list(dict.fromkeys(step for step, _, _ in told))
    assert steps == [Step.STAGE, Step.PUBLISH, Step.READ_BACK, Step.SELF_TEST, Step.ACTIVATE]
    assert [done == total for step, done, total in told if step is Step.STAGE][-1]


def test_what_a_dead_install_left(home: Path, release: Release) -> None:
    """Staging is emptied; a bundle that was published and not activated is found sound, and used."""
    (home / "staging/tiny-9.9.9").mkdir(parents=True)
    (home / "staging/tiny-9.9.9/part").write_text("")
    first = put(release("1.0.0"))
    assert left_over() == []
    (home / "bundles/tiny/current").unlink()
    again = put(release("1.0.0"))
    assert (again.done, again.written, again.linked) == ("installed", 0, 0)
    assert again.bundle == first.bundle
    assert in_use() == "1.0.0"


def test_one_writer(home: Path, release: Release) -> None:
    """A second one is told, and harms nobody; the lock goes with the process that has it."""
    with (
        lock.writer(wait_seconds=0.0),
        pytest.raises(StoreError, match="another edge-runtime is changing the store; wait for it"),
    ):
        put(release("1.0.0"), wait_seconds=0.0)
    put(release("1.0.0"), wait_seconds=0.0)


def test_installs_at_once(home: Path, release: Release) -> None:
    """Six processes, three bundles of two names: one after the other, and all are there."""
    releases = [release("1.0.0"), release("1.0.0", card="other"), release("1.0.0", name="second")]
    command = [sys.executable, "-m", "edge_runtime.cli", "install", "--no-self-test"]
    workers = [subprocess.Popen([*command, str(path)], cwd=ROOT) for path in (*releases, *releases)]
    assert [worker.wait(300) for worker in workers] == [0] * 6
    assert layout.names() == ("second", "tiny")
    assert len(layout.installed("tiny")) == 2
    assert in_use() == in_use("second") == "1.0.0"
    assert left_over() == []


@pytest.mark.parametrize("tries", [-1, 1001])
def test_tries_out_of_range(home: Path, release: Release, tries: int) -> None:
    """Refused before the source is opened."""
    with pytest.raises(StoreError, match=f"tries: expected 0 to 1000; found {tries}"):
        put("/nowhere", tries=tries)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("/nowhere.edge", r"cannot be read \(No such file or directory\); expected a .edge file or a bundle"),
        ("bad\0path", r"cannot be read \(not a path\)"),
        ("/proc/self/mem", "cannot be read"),
        ("/", r"manifest.yaml: cannot be read .* is this a bundle\?"),
    ],
)
def test_no_source(home: Path, source: str, problem: str) -> None:
    """One error of ours."""
    with pytest.raises(BundleError, match=problem):
        put(source)


def test_a_store_that_cannot_be_written(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be, as good as a read-only disk: the way out is in the error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"lock: cannot be written \(Not a directory\); use sudo, or set"):
        put(release("1.0.0"))


def test_links_in_the_way(home: Path, release: Release, tmp_path: Path) -> None:
    """Nothing is written through a link that somebody put where a bundle's staging should be."""
    (tmp_path / "outside").mkdir()
    put(release("1.0.0"))
    (home / "staging/tiny-trap").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/kept").write_text("")
    staging.clean()
    assert left_over() == []
    assert (tmp_path / "outside/kept").exists()


def stray(path: Path, kind: str) -> None:
    """Puts something in the place of a link, or of a bundle's directory."""
    if kind == "directory":
        path.mkdir()
        (path / "manifest.yaml").write_text("")
    elif kind == "file":
        path.write_text("1.0.0")
    else:
        path.symlink_to({"outside": "../../../etc", "nowhere": "9.9.9-0123456789ab", "aside": "aside"}[kind])


@pytest.mark.parametrize("kind", ["outside", "directory", "file", "nowhere"])
@pytest.mark.parametrize("link", [layout.CURRENT, layout.PREVIOUS])
def test_what_is_no_link_of_ours(home: Path, release: Release, link: str, kind: str) -> None:
    """As a copy of a store leaves them, or a damaged disk: never followed, and an install puts it right."""
    put(release("1.0.0"))
    put(release("1.1.0"))
    put(release("1.0.0", name="second"))
    (home / "bundles/tiny" / link).unlink()
    stray(home / "bundles/tiny" / link, kind)
    if link == layout.CURRENT:
        with pytest.raises((StoreError, BundleError), match=r"current: expected a link|9.9.9-0123456789ab"):
            edge_runtime.open("tiny")
        assert [one.problem is None for one in status()] == [True, False]
    else:
        assert in_use() == "1.1.0"
        with pytest.raises(StoreError, match=r"no bundle before 1\.1\.0-"):
            switch.rollback("tiny")
        assert [one.problem for one in status()] == [None, None]
    assert put(release("1.2.0"), allow_downgrade=True).done == "installed"
    assert in_use() == "1.2.0"
    after = status("tiny")[0]
    assert after.problem is None
    assert layout.version(str(after.previous)) == ("1.0.0" if link == layout.CURRENT else "1.1.0")
    assert put(release("1.1.0"), allow_downgrade=True).done == "installed"
    assert layout.version(switch.rollback("tiny")) == "1.2.0"
    assert left_over() == []


@pytest.mark.parametrize("kind", ["aside", "file", "nowhere"])
def test_what_is_no_directory_of_a_bundle(home: Path, release: Release, kind: str) -> None:
    """Moved elsewhere and linked, which no reader follows: it is not installed, and can be."""
    put(release("1.0.0"))
    put(release("1.1.0"))
    directory = layout.current("tiny")
    assert directory is not None
    directory.rename(directory.with_name("aside"))
    stray(directory, kind)
    with pytest.raises(BundleError, match="install tiny again"):
        edge_runtime.open("tiny")
    assert "is not there; install a bundle again" in str(status("tiny")[0].problem)
    assert [layout.version(one) for one in layout.installed("tiny")] == ["1.0.0"]
    assert put(release("1.1.0")).done == "installed"
    assert in_use() == "1.1.0"
    assert not directory.is_symlink()
    assert (home / "bundles/tiny/aside/manifest.yaml").exists()


def test_links_that_cannot_be_read(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not taken for damage."""
    put(release("1.0.0"))

    def refuse(_: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "readlink", refuse)
    with pytest.raises(StoreError, match=r"current: cannot be read \(Permission denied\)"):
        edge_runtime.open("tiny")
    with pytest.raises(StoreError, match=r"current: cannot be read \(Permission denied\)"):
        put(release("1.1.0"))


@pytest.mark.parametrize("kind", ["link", "file"])
def test_staging_that_is_no_directory(home: Path, release: Release, tmp_path: Path, kind: str) -> None:
    """What a link leads to is not emptied."""
    put(release("1.0.0"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("")
    (home / "staging").rmdir()
    if kind == "link":
        (home / "staging").symlink_to(tmp_path / "kept")
    else:
        (home / "staging").write_text("")
    put(release("1.1.0"))
    assert in_use() == "1.1.0"
    assert (tmp_path / "kept/file").exists()
    assert left_over() == []


def test_a_file_system_without_links(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and exFAT: the error says so, and names what was to be made."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), "1.0.0-0123456789ab")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(StoreError, match=r"tiny/current: this file system makes no symbolic links.*ext4, at"):
        put(release("1.0.0"))
    assert left_over() == []


def test_reading_a_pipe_is_one_pass(release: Release, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is no bundle leaves nothing."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no bundle")))
    with pytest.raises(ArchiveError, match=r"standard input: expected a transport file \(.edge\)"):
        put("-")
    assert layout.names() == ()


def test_a_home_behind_a_link(home: Path, release: Release, tmp_path: Path) -> None:
    """As systemd makes it for services with a user of their own."""
    (tmp_path / "private").mkdir()
    home.symlink_to(tmp_path / "private")
    put(release("1.0.0"))
    put(release("1.1.0"))
    assert in_use() == "1.1.0"


def test_files_that_get_in_each_others_way(home: Path, bundle_copy: Path) -> None:
    """A manifest can list a file and one in a folder of that name; no disk can hold both."""
    path = bundle_copy / manifests.FILENAME
    manifest = manifests.read(path)
    inside = replace(manifest.files[0], path=f"{manifest.files[0].path}/inside")
    members = {entry.path: (bundle_copy / entry.path).read_bytes() for entry in manifest.files}
    changed = replace(manifest, files=(*manifest.files, inside))
    incoming = SimpleNamespace(
        source="lying.edge",
        manifest=changed,
        manifest_bytes=manifests.dump(changed),
        signature=None,
        files=lambda: ((e, iter([members[e.path.removesuffix("/inside")]])) for e in changed.files),
    )
    with pytest.raises(OSError, match="Not a directory"):
        staging.write(incoming, home / "staging/x", held=Held({}), progress=lambda done, total: None)


def test_a_bundle_that_cannot_pass_here(home: Path, release: Release, ladder: Path) -> None:
    """The real self-test: the files are sound, and one encoder gives garbage."""
    put(release("1.0.0", card="before"))
    with pytest.raises(SelfTestError, match=r"encoder static .* golden query 1: cosine"):
        put(ladder, self_test=self_test.replay)
    assert state.read("tiny").events[0].result.startswith("failed at self-test: ")
    assert len(layout.installed("tiny")) == 1
    assert in_use() == "1.0.0"
