"""Changes which bundles a device has: install, roll back, prune. The layout is `installed`'s.

An install goes through these steps, and whatever stops it, before the last one the old bundle answers and
after it the new one:

    checking      the manifest, the version, the space on the disk
    copying       into staging, hashing every byte; files that the store has already are linked
    reading back  from the disk, not from memory, and hashing it again
    testing       the golden queries, in processes of their own
    activating    one rename

Files and folders are synchronised with the disk before the step after them begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import home, installed, self_test
from edge_runtime import manifest as manifests
from edge_runtime.bundle import check_files
from edge_runtime.errors import BundleError, StoreError
from edge_runtime.installed import CURRENT, PREVIOUS, Installed
from edge_runtime.manifest import Manifest
from edge_runtime.staging import copy, drop_from_memory, mend, sync_folder, sync_folders
from edge_runtime.transport import opened

RESERVE_BYTES = 32 << 20
"""Left free on the disk: a full one is nobody's friend."""

Progress = Callable[[str], object]
"""Called with the name of each step as it begins."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an install did.

    Attributes:
        bundle: the one that answers now; in a dry run, that would.
        before: the version that answered until now; None where there was none.
        written: bytes copied to the disk; those of files that the store had already are not among them.
        activated: False in a dry run, and where this very bundle answered already.
    """

    bundle: Installed
    before: str | None
    written: int
    activated: bool


def install(
    source: str | os.PathLike[str],
    *,
    allow_downgrade: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda _step: None,
) -> Outcome:
    """Makes the bundle in `source` the one that answers to its name.

    Args:
        source: a transport file, a bundle's directory, or ``"-"`` for a transport file on standard input.
        allow_downgrade: also where the version is older than the one that answers now.
        dry_run: checks the manifest, the version and the space, and changes nothing.
        progress: see `Progress`.

    Raises:
        BundleError: the bundle is damaged, hostile, or made for another runtime.
        SelfTestError: it does not give on this device what it gave at the build. So may EngineError.
        StoreError: an older version, no space, another install under way, or the disk failed.
    """
    with _changing() as root, opened(source) as given:
        progress("checking")
        manifest = manifests.parse(given.manifest, f"{given.name}: {manifests.FILENAME}")
        before = _current(manifest.name)
        _check_version(manifest, before, allow_downgrade)
        directory = installed.bundles(manifest.name) / installed.directory_name(
            manifest.version, given.digest
        )
        new = Installed(manifest.name, manifest.version, directory, CURRENT)
        _check_space(root, manifest)
        answered = None if before is None else before.version
        if dry_run:
            return Outcome(new, answered, 0, activated=False)
        progress("copying")
        staged = root / "staging" / directory.name
        copied = copy(given, manifest, staged, held=_held(manifest.name))
        sync_folders(staged)
        _prove(staged, manifest, progress)
        progress("activating")
        _settle(staged, manifest, directory)
        same = before is not None and before.directory == directory
        if not same:
            _activate(manifest.name, directory)
        return Outcome(new, answered, copied.written, activated=not same)


def rollback(name: str) -> Installed:
    """Makes the previous bundle of a name the one that answers, once its files are proven.

    Raises:
        StoreError: there is none, or another change is under way.
        IntegrityError: its files are not as they were built.
    """
    with _changing():
        wanted = installed.target(name, PREVIOUS)
        if wanted is None:
            raise StoreError(
                f"{name}: no previous bundle to go back to; edge-runtime status shows what there is"
            )
        manifest = manifests.read(wanted / manifests.FILENAME)
        check_files(wanted, manifest, verify="full")
        _activate(name, wanted)
        return Installed(name, manifest.version, wanted, CURRENT)


def prune(name: str, *, keep: int = 0) -> list[Installed]:
    """Removes the bundles of a name but for the current, the previous and the newest `keep` others.

    Returns:
        Those that were removed. Whoever has one of them open keeps it until it is closed.

    Raises:
        StoreError: `keep` is below 0, another change is under way, or a folder cannot be removed.
    """
    if keep < 0:
        raise StoreError(f"keep: expected 0 or more; found {keep}")
    with _changing() as root:
        others = [each for each in installed.of(name) if not each.role]
        gone = others[: len(others) - keep] if keep else others
        for each in gone:
            _discard(each.directory, root)
        return gone


@contextmanager
def _changing() -> Iterator[Path]:
    """Around every change, with ROOT: alone, in an empty staging folder, and with one kind of error."""
    root = home.root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"{root}: another change is under way; try again when it has ended"
                ) from None
            _empty(root / "staging")
            try:
                yield root
            finally:
                with contextlib.suppress(OSError):  # the next change tries again
                    _empty(root / "staging")
    except OSError as error:
        at = f" at {error.filename}" if error.filename else ""
        raise StoreError(
            f"{root}: cannot be written ({error.strerror}{at}); what answered before still does"
        ) from None


def _current(name: str) -> Installed | None:
    return next((each for each in installed.of(name) if each.role == CURRENT), None)


def _check_version(manifest: Manifest, before: Installed | None, allow_downgrade: bool) -> None:
    older = before is not None and installed.numbers(manifest.version) < installed.numbers(before.version)
    if older and before is not None and not allow_downgrade:
        raise StoreError(
            f"{manifest.name} {manifest.version} is older than {before.version}, which is installed; say "
            "--allow-downgrade if that is meant, or edge-runtime rollback"
        )


def _check_space(root: Path, manifest: Manifest) -> None:
    held = _held(manifest.name)
    needed = sum(entry.size for entry in manifest.files if entry.sha256 not in held)
    space = os.statvfs(root)
    free = space.f_bavail * space.f_frsize
    if free < needed + RESERVE_BYTES:
        raise StoreError(
            f"{root}: {free / 1e6:.0f} MB free; {manifest.name} {manifest.version} needs "
            f"{needed / 1e6:.0f} MB, and {RESERVE_BYTES / 1e6:.0f} MB stay free; edge-runtime prune removes "
            "old bundles"
        )


def _held(name: str) -> dict[str, Path]:
    """Files of the bundles of this name that are installed, by what their manifests say is their sha256."""
    held: dict[str, Path] = {}
    for each in installed.of(name):
        with contextlib.suppress(BundleError):
            manifest = manifests.read(each.directory / manifests.FILENAME)
            held |= {entry.sha256: each.directory / entry.path for entry in manifest.files}
    return held


def _prove(staged: Path, manifest: Manifest, progress: Progress) -> None:
    """The disk gives back what was written, and this device computes from it what the build did."""
    progress("reading back")
    drop_from_memory(staged)
    check_files(staged, manifest, verify="full")
    progress("testing")
    self_test.replay(staged)


def _settle(staged: Path, manifest: Manifest, directory: Path) -> None:
    """Moves a proven bundle to its place; if it is there already, what is damaged there is replaced."""
    if directory.exists():
        mend(directory, manifest, staged)
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(directory)
    for folder in directory.parents[:3]:  # NAME, bundles and ROOT: each may be new
        sync_folder(folder)


def _activate(name: str, directory: Path) -> None:
    """`current` leads to `directory`, `previous` to where it led; a power cut between loses neither."""
    old = installed.target(name, CURRENT)
    if old is not None and old != directory:
        _link(directory.parent / PREVIOUS, old.name)
    _link(directory.parent / CURRENT, directory.name)
    sync_folder(directory.parent)


def _link(path: Path, to: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.rename(path)


def _discard(directory: Path, root: Path) -> None:
    """Out of sight at once, then gone."""
    doomed = root / "staging" / f"{directory.name}.gone"
    directory.rename(doomed)
    sync_folder(directory.parent)
    shutil.rmtree(doomed)


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
