"""Installs a bundle: every step is named, can fail or be cut off, and leaves what was there in use.

    check       the manifest: for this runtime, not older, and room for it; nothing is written yet
    stage       into staging/, hashed on the way, flushed
    publish     renamed to bundles/NAME/VERSION-DIGEST12/, which nobody opens yet
    read back   from the disk, not from memory, and hashed again
    self-test   the golden queries, in processes of their own
    activate    `current` is swapped, and that is written down

What a step leaves when it dies is removed by the next writer, or found sound and used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from edge_runtime import disk, state
from edge_runtime.errors import Error, StateError, StoreError
from edge_runtime.store import content, layout, lock, mend, sources, staging, switch
from edge_runtime.store.admission import admit
from edge_runtime.store.held import Held
from edge_runtime.store.sources import Incoming
from edge_runtime.store.staging import Staged


class Step(str, Enum):
    """Where an install is; see the module."""

    CHECK = "check"
    STAGE = "stage"
    PUBLISH = "publish"
    READ_BACK = "read back"
    SELF_TEST = "self-test"
    ACTIVATE = "activate"


Progress = Callable[[Step, int, int], object]
"""Told of the step, and of bytes done and all bytes where it has such."""

SelfTest = Callable[[Path], object]
"""Raises an error of ours when the bundle in a directory does not work here; see `self_test.replay`."""

MAX_TRIES = 1000

Done = Literal["installed", "nothing", "would install"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an install did.

    Attributes:
        bundle: the directory's name.
        done: ``installed``; ``nothing``: it was current already, and sound; ``would install``: a dry run, all
            of it read and hashed.
        previous: the bundle that was current before; None for the first.
        written: bytes of files that were new; `linked` those that the store had.
    """

    name: str
    version: str
    bundle: str
    done: Done
    previous: str | None
    written: int = 0
    linked: int = 0


def install(
    source: str | os.PathLike[str] | Incoming,
    *,
    self_test: SelfTest | None,
    allow_downgrade: bool = False,
    dry_run: bool = False,
    tries: int = 0,
    progress: Progress = lambda step, done, total: None,
    wait_seconds: float = lock.WAIT_SECONDS,
) -> Outcome:
    """Installs a bundle under its own name, and makes it current once it has proven itself.

    Args:
        source: a transport file, ``-`` for standard input, a bundle directory, or what was opened already.
        self_test: None for none, where the device that it is for is another.
        allow_downgrade: to a lower version than the current one.
        dry_run: reads and checks all of it and changes nothing.
        tries: see `switch.activate`.
        wait_seconds: for another writer to finish.

    Raises:
        BundleError: the source is not a bundle for this device, or damaged (see its subclasses).
        StoreError: another writer is at work, no room, an older version, or the disk fails.
        SelfTestError, EngineError, Error: it does not work on this device.
        StateError: what was done cannot be recorded, so it was undone.
    """
    if not 0 <= tries <= MAX_TRIES:
        raise StoreError(f"tries: expected 0 to {MAX_TRIES}; found {tries}")
    if dry_run:
        with sources.opened(source) as incoming:
            return _rehearse(incoming, allow_downgrade=allow_downgrade)
    # A pipe may be silent for long before its manifest comes, which others should not wait for.
    with sources.opened(source) as incoming, lock.writer(wait_seconds=wait_seconds):
        work = _Install(incoming, self_test=self_test, tries=tries, progress=progress)
        return work.run(allow_downgrade=allow_downgrade)


def _rehearse(incoming: Incoming, *, allow_downgrade: bool) -> Outcome:
    held = Held.look()
    admit(incoming, held=held, allow_downgrade=allow_downgrade)
    staging.check(incoming)
    name, bundle = incoming.manifest.name, content.bundle_name(incoming)
    current = layout.usable(name, layout.CURRENT)
    if current == bundle and content.is_sound(layout.folder(name) / bundle, incoming):
        return _outcome(incoming, "nothing", current, Staged(0, 0))
    files = incoming.manifest.files
    linked = sum(entry.size for entry in files if held.has(entry))
    staged = Staged(sum(entry.size for entry in files) - linked, linked)
    return _outcome(incoming, "would install", current, staged)


class _Install:
    """One install under way. `step` is where it is; `run` is the order of the steps."""

    def __init__(
        self, incoming: Incoming, *, self_test: SelfTest | None, tries: int, progress: Progress
    ) -> None:
        self._incoming, self._self_test, self._tries = incoming, self_test, tries
        self._progress = progress
        self._name = incoming.manifest.name
        self._bundle = content.bundle_name(incoming)
        self._directory = layout.folder(self._name) / self._bundle
        self._current = layout.usable(self._name, layout.CURRENT)
        self._staged = Staged(0, 0)
        self._brought = False
        self.step = Step.CHECK

    def run(self, *, allow_downgrade: bool) -> Outcome:
        try:
            staging.clean()
            held = Held.look()
            admit(self._incoming, held=held, allow_downgrade=allow_downgrade)
            there = content.is_sound(self._directory, self._incoming)
            if there and self._current == self._bundle:
                return _outcome(self._incoming, "nothing", self._current, self._staged)
            if not there:
                self._bring(held)
            self._prove()
            self._enter(Step.ACTIVATE)
            switch.activate(self._name, self._bundle, tries=self._tries)
        except Error as error:
            self._give_up(str(error))
            raise
        except OSError as error:
            self._give_up(str(error.strerror))
            raise StoreError(self._failed(error)) from None
        except BaseException as error:
            self._give_up(type(error).__name__)
            raise
        return _outcome(self._incoming, "installed", self._current, self._staged)

    def _enter(self, step: Step, done: int = 0, total: int = 0) -> None:
        self.step = step
        self._progress(step, done, total)

    def _bring(self, held: Held) -> None:
        self._enter(Step.STAGE)

        def told(done: int, total: int) -> None:
            self._progress(Step.STAGE, done, total)

        self._brought = True
        if self._directory.is_dir() and not self._directory.is_symlink():  # damaged, but perhaps in use
            mended = mend.mend(self._directory, self._incoming, held=held, progress=told)
            self._staged = Staged(mended.written, mended.sound)
        else:
            place = layout.staging() / f"{self._name}-{self._bundle}"
            self._staged = staging.write(self._incoming, place, held=held, progress=told)
            self._enter(Step.PUBLISH)
            disk.make_directory(self._directory.parent)
            staging.discard(self._directory)  # a link or a file in the way
            disk.move(place, self._directory)
        self._enter(Step.READ_BACK)
        content.read_back(self._directory, self._incoming)

    def _prove(self) -> None:
        if self._self_test is not None:
            self._enter(Step.SELF_TEST)
            self._self_test(self._directory)

    def _give_up(self, why: str) -> None:
        """Removes what was brought, and writes down that it was tried. The disk may refuse both."""
        try:
            staging.clean()
            wanted = (layout.usable(self._name, layout.CURRENT), switch.way_back(self._name))
            if self._brought and self._bundle not in wanted:
                staging.discard(self._directory)
            if self._current is not None:
                failed = switch.event(self._bundle, "install", f"failed at {self.step.value}: {why}"[:500])
                state.update(self._name, lambda known: known.having(failed))
        except (OSError, StateError, StoreError):
            pass

    def _failed(self, error: OSError) -> str:
        where = error.filename or layout.staging().parent
        manifest = self._incoming.manifest
        in_use = layout.version(self._current) + " stays" if self._current else "nothing is"
        what = f"{manifest.name} {manifest.version} is not installed ({in_use} in use)"
        return f"{where}: {error.strerror}, at {self.step.value}; {what}"


def _outcome(incoming: Incoming, done: Done, previous: str | None, staged: Staged) -> Outcome:
    manifest = incoming.manifest
    return Outcome(
        name=manifest.name,
        version=manifest.version,
        bundle=content.bundle_name(incoming),
        done=done,
        previous=previous,
        written=staged.written,
        linked=staged.linked,
    )
