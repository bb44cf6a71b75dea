"""The device's half of a flash: says what it lacks, takes that, and installs; see `messages`.

It listens to nobody but its own standard input, which ssh or a desktop process leads to it. Whoever goes
away, or is silent for a minute, leaves the old bundle in use and what came for the next attempt.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal, NoReturn

from edge_runtime import manifest as manifests
from edge_runtime import signature as signatures
from edge_runtime.errors import Error, StoreError
from edge_runtime.manifest import FileEntry
from edge_runtime.store import arrivals, bases, layout, lock
from edge_runtime.store.admission import admit
from edge_runtime.store.held import Held
from edge_runtime.store.install import Outcome, SelfTest, Step, install
from edge_runtime.store.messages import (
    MAX_LINE,
    MAX_STILLS,
    PROTOCOL,
    Activate,
    At,
    Bases,
    Blob,
    Done,
    Failed,
    M,
    Message,
    MessageError,
    Offer,
    Still,
    Tried,
    Wanted,
    Wants,
    decode,
    encode,
)
from edge_runtime.store.sources import SILENCE_SECONDS, Listed
from edge_runtime.version import __version__

_CHUNK = 1 << 16


class Line:
    """The sender, as two descriptors: unbuffered, with bounds on what is read and how long that may take."""

    def __init__(self, reading: int, writing: int, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._reading, self._writing, self._silence = reading, writing, silence_seconds
        self._ahead = b""

    def send(self, message: Message) -> None:
        """One message. Raises `StoreError` where nobody reads it."""
        data = memoryview(encode(message))
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except OSError as error:
            raise StoreError(f"the sender has gone ({error.strerror})") from None

    def receive(self, *kinds: type[M]) -> M:
        """The next message, which must be of one of these kinds. Raises `StoreError` where it is not."""
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._some(MAX_LINE - len(line), until=b"\n")
            if len(line) >= MAX_LINE:
                self._refuse(f"expected a line; found more than {MAX_LINE} bytes")
        try:
            return decode(bytes(line), *kinds)
        except MessageError as error:
            self._refuse(str(error))

    def pieces(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes. Raises `StoreError` where there are fewer."""
        while count:
            piece = self._some(min(count, _CHUNK))
            count -= len(piece)
            yield piece

    def _some(self, most: int, *, until: bytes = b"") -> bytes:
        """At least a byte and at most so many; with `until`, nothing behind that."""
        ahead = self._ahead or self._read()
        end = ahead.find(until) + len(until) if until and until in ahead else len(ahead)
        end = min(end, most)
        taken, self._ahead = ahead[:end], ahead[end:]
        return taken

    def _read(self) -> bytes:
        try:
            if not select.select([self._reading], [], [], self._silence)[0]:
                raise StoreError(f"the sender was silent for {self._silence:.0f} s; flash again to go on")
            data = os.read(self._reading, _CHUNK)
        except OSError as error:
            raise StoreError(f"the sender cannot be read ({error.strerror})") from None
        if not data:
            raise StoreError("the line ended; flash again to go on")
        return data

    def _refuse(self, problem: str) -> NoReturn:
        raise StoreError(f"the sender is not edge-build flash of this kind: {problem}")


def receive(
    line: Line,
    *,
    self_test: SelfTest | None,
    allow_downgrade: bool = False,
    tries: int = 0,
    delta: bool = False,
) -> Outcome:
    """Takes one bundle from a line and installs it; see `install` for the other arguments.

    Args:
        delta: let the sender try rsync with older editions first, where there are any.

    Raises:
        Error: as `install` does, or the line failed; the sender has been told, if it is still there.
    """
    try:
        outcome = _receive(line, self_test, allow_downgrade, tries, delta)
    except Error as error:
        _tell(line, str(error))
        raise
    except OSError as error:
        where = error.filename or layout.incoming()
        problem = f"{where}: {error.strerror}; nothing is installed, and what came is kept"
        _tell(line, problem)
        raise StoreError(problem) from None
    done: Literal["installed", "nothing"] = "nothing" if outcome.done == "nothing" else "installed"
    line.send(Done(done, outcome.bundle, outcome.previous))
    return outcome


def _receive(
    line: Line, self_test: SelfTest | None, allow_downgrade: bool, tries: int, delta: bool
) -> Outcome:
    offered = _offered(line)
    # A line that broke without a word lets go of the lock only when its silence has lasted too long.
    with lock.receiver(wait_seconds=SILENCE_SECONDS + lock.WAIT_SECONDS):
        arrivals.keep_only(offered.manifest.files)
        held = Held.look()
        admit(offered, held=held, allow_downgrade=allow_downgrade)
        lacking: Sequence[FileEntry] = _lacking(offered, held)
        line.send(_wants(lacking))
        if delta:
            lacking = _after_delta(line, offered.manifest.name, lacking)
        for entry in lacking:
            _take(line, entry)
        outcome = install(
            offered,
            self_test=self_test,
            allow_downgrade=allow_downgrade,
            tries=tries,
            progress=_Steps(line),
        )
        with suppress(OSError):  # it is installed; what cannot be removed now is when the next flash begins
            arrivals.clear()
    return outcome


class _Steps:
    """Tells of each step; before the last one the sender is asked, for it may have changed its mind."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._at: Step | None = None

    def __call__(self, step: Step, done: int, total: int) -> None:
        if step is not self._at:
            self._at = step
            self._line.send(At(step.value))
            if step is Step.ACTIVATE:
                self._line.receive(Activate)


def _offered(line: Line) -> Listed:
    offer = line.receive(Offer)
    if offer.protocol != PROTOCOL:
        problem = (
            f"speaks version {offer.protocol} of this protocol, and edge-runtime {__version__} {PROTOCOL}"
        )
        raise StoreError(f"edge-build flash {problem}; edge-build flash --bootstrap brings its own")
    sizes = (offer.manifest, manifests.MAX_BYTES), (offer.signature or 0, signatures.MAX_BYTES)
    for size, most in sizes:
        if not 0 <= size <= most:
            raise StoreError(f"the offer: expected 0 to {most} bytes; found {size}")
    manifest, signature = (b"".join(line.pieces(size)) for size, _ in sizes)
    return Listed(manifest, None if offer.signature is None else signature, "the sender")


def _lacking(offered: Listed, held: Held) -> list[FileEntry]:
    """One entry for each content that the store has not, or no longer as it was."""
    contents = {entry.sha256: entry for entry in offered.manifest.files if entry.size}
    found = [entry for entry in contents.values() if held.sound(entry) is None]
    for entry in found:
        arrivals.forget(entry)
    return found


def _wants(lacking: Sequence[FileEntry]) -> Wants:
    return Wants(__version__, tuple(Wanted(each.sha256, arrivals.begun(each)) for each in lacking))


def _after_delta(line: Line, name: str, lacking: Sequence[FileEntry]) -> Sequence[FileEntry]:
    """What is lacking yet when the sender has tried rsync; all of it where there is nothing to try."""
    try:
        ready = bases.lay_out(name, lacking)
        line.send(Bases(str(arrivals.delta().absolute()), tuple(entry.sha256 for entry in ready)))
        if not ready:
            return lacking
        for _ in range(MAX_STILLS):
            if isinstance(line.receive(Still, Tried), Tried):
                break
        else:
            raise StoreError("rsync did not end in time; flash again with --no-delta")
        made = {entry.sha256 for entry in ready if bases.take(entry)}
    finally:
        with suppress(OSError):  # what cannot be removed now is when the next flash begins
            arrivals.clear_delta()
    left = [entry for entry in lacking if entry.sha256 not in made]
    line.send(_wants(left))
    return left


def _take(line: Line, entry: FileEntry) -> None:
    start = arrivals.begun(entry)
    blob = line.receive(Blob)
    if (blob.sha256, blob.start) != (entry.sha256, start):
        expected = f"{entry.sha256[:12]}… from byte {start}"
        raise StoreError(f"expected the bytes of {expected}; found {blob.sha256[:12]}… from {blob.start}")
    arrivals.add(entry, line.pieces(entry.size - start))


def _tell(line: Line, problem: str) -> None:
    with suppress(StoreError):  # it has gone
        line.send(Failed(problem))
