"""The desktop's half of a flash: offers the manifest, sends what is wanted, lets it become current."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from build_tools.errors import FlashError
from build_tools.flash.connection import Connection
from build_tools.flash.delta import Delta
from build_tools.flash.source import Source
from edge_runtime.manifest import FileEntry
from edge_runtime.schema import shown
from edge_runtime.store.install import Step
from edge_runtime.store.messages import (
    PROTOCOL,
    Activate,
    At,
    Bases,
    Blob,
    Done,
    Offer,
    Still,
    Tried,
    Wants,
)

_CHUNK = 1 << 17
_STEPS = tuple(step.value for step in Step)

Progress = Callable[[str, int, int], object]
"""Told of the step, and of bytes sent and bytes to send where it has such."""


def transfer(
    connection: Connection, source: Source, *, progress: Progress, delta: Delta | None = None
) -> Done:
    """Brings a bundle over a connection; returns what the device did.

    Args:
        delta: for a device that was asked to lay out older editions (``receive --delta``).

    Raises:
        FlashError: the device refuses it, or answers what no device answers.
        LineError: the line broke.
    """
    connection.send(
        Offer(
            PROTOCOL,
            len(source.manifest_bytes),
            None if source.signature is None else len(source.signature),
        )
    )
    connection.write(source.manifest_bytes + (source.signature or b""))
    progress("compare", 0, 0)
    wanted = _checked(connection.receive(Wants), source)
    if delta is not None:
        wanted = _after_delta(connection, source, wanted, delta, progress)
    to_send = sum(entry.size - have for entry, have in wanted)
    sent = 0
    progress("send", 0, to_send)
    for entry, have in wanted:
        connection.send(Blob(entry.sha256, have))
        for piece in _pieces(source, entry, have):
            connection.write(piece)
            sent += len(piece)
            progress("send", sent, to_send)
    return _follow(connection, progress)


def _after_delta(
    connection: Connection,
    source: Source,
    wanted: Sequence[tuple[FileEntry, int]],
    delta: Delta,
    progress: Progress,
) -> Sequence[tuple[FileEntry, int]]:
    """What the device wants yet when rsync has made what it could; all where there is nothing to try."""
    bases = connection.receive(Bases)
    if not bases.files:
        return wanted
    entries = {entry.sha256: entry for entry, have in wanted if not have}
    if len(set(bases.files)) < len(bases.files) or not set(bases.files) <= entries.keys():
        raise FlashError("the device has older editions of files that it does not want, or one twice")
    if bases.folder.startswith("/") and bases.folder.isprintable():
        progress("delta", 0, 0)
        chosen = [entries[sha256] for sha256 in bases.files]
        delta.bring(source, chosen, bases.folder, still=lambda: connection.send(Still()))
    connection.send(Tried())
    left = _checked(connection.receive(Wants), source)
    if not {entry.sha256 for entry, _ in left} <= {entry.sha256 for entry, _ in wanted}:
        raise FlashError("the device wants a file that it had before")
    return left


def _checked(wants: Wants, source: Source) -> Sequence[tuple[FileEntry, int]]:
    """The files that are wanted, each with the bytes that are there; only what this bundle has."""
    entries = {entry.sha256: entry for entry in source.manifest.files if entry.size}
    found = []
    for wanted in wants.files:
        entry = entries.pop(wanted.sha256, None)
        if entry is None:
            raise FlashError(
                f"the device wants a file that this bundle has not, or twice: {wanted.sha256[:12]}…"
            )
        if wanted.have > entry.size:
            raise FlashError(
                f"the device says that it has {wanted.have} of {entry.size} bytes of {entry.path}"
            )
        found.append((entry, wanted.have))
    return found


def _pieces(source: Source, entry: FileEntry, start: int) -> Iterator[bytes]:
    """The rest of a file: as many bytes as it had when it was hashed, or the device would wait for more."""
    left = entry.size - start
    with source.path(entry).open("rb") as file:
        file.seek(start)
        while left:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                raise FlashError(
                    f"{source.path(entry)}: has become shorter; leave the bundle alone meanwhile"
                )
            left -= len(piece)
            yield piece


def _follow(connection: Connection, progress: Progress) -> Done:
    """Until the device is done; a bundle that has proven itself is let in."""
    for _ in _STEPS:
        message = connection.receive(At, Done)
        if isinstance(message, Done):
            return message
        assert isinstance(message, At)
        if message.step not in _STEPS:
            raise FlashError(f"the device is at a step that is none: {shown(message.step)}")
        progress(message.step, 0, 0)
        if message.step == Step.ACTIVATE.value:
            connection.send(Activate())
    return connection.receive(Done)
