"""Reads a transport file from first byte to last, once, and believes nothing that it says.

An ``.edge`` file is a zip of the one kind that ``edge-build pack`` writes: members stored as they are, on
16 KiB boundaries, the manifest first. It may come down a pipe, so nothing is sought, and little is held:
every header is compared with the manifest before a byte behind it is read, and the zip's own list at the end
must then say the same again. Zip readers disagree about files that contradict themselves; this one refuses
them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from edge_runtime import manifest as manifests
from edge_runtime import signature as signatures
from edge_runtime import zip_records
from edge_runtime.manifest import FileEntry
from edge_runtime.schema import shown
from edge_runtime.zip_records import CENTRAL, LOCAL, Member

ALIGNMENT = 16384
"""Of every member's data, in bytes: a page of a Raspberry Pi 5."""

_CHUNK = 1 << 18


class Archive:
    """A transport file that is being read: the manifest and the signature at once, then `files`, once.

    Attributes:
        source: names the file in errors.
        manifest_bytes: what a signature signs; `manifest` is what they say.
        signature: the bytes of manifest.yaml.minisig, which nobody has checked; None where there is none.
    """

    def __init__(self, stream: IO[bytes], source: str) -> None:
        """Reads the manifest, and the signature where one follows.

        Args:
            stream: read forwards only, and left open.
            source: names it in errors.

        Raises:
            ArchiveError: not a transport file, or cut short.
            BundleError: the manifest cannot be used (see its subclasses).
        """
        self.source = source
        self._reader = zip_records.Reader(stream, source)
        self._seen: list[Member] = []
        first = self._member(self._reader.exactly(4), manifests.FILENAME)
        self.manifest_bytes = self._small(first, manifests.MAX_BYTES)
        self.manifest = manifests.parse(self.manifest_bytes, f"{source}, {manifests.FILENAME}")
        self._next: Member | None = self._member(self._reader.exactly(4))
        self.signature: bytes | None = None
        if self._next.name == manifests.SIGNATURE.encode():
            self.signature = self._small(self._next, signatures.MAX_BYTES)
            self._next = None

    def files(self) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
        """Every file that the manifest lists, in its order, each with its bytes in pieces.

        The pieces are as many bytes as the manifest says, and must be taken before the next file is; nobody
        has hashed them. At the end the rest of the zip is checked.

        Raises:
            ArchiveError: members that are missing, unlisted, repeated, out of order, of another size or not
                as pack stores them; a list at the end that differs; more bytes behind it, or fewer.
        """
        for entry in self.manifest.files:
            member = self._next or self._member(self._reader.exactly(4), entry.path)
            self._next = None
            if member.name != entry.path.encode():
                self._reader.refuse(f"expected member {shown(entry.path)}; found {member.shown}")
            if member.size != entry.size:
                self._reader.refuse(f"{entry.path}: {member.size} bytes; the manifest has {entry.size}")
            yield entry, self._content(member)
        self._finish()

    def _member(self, kind: bytes, expected: str = "") -> Member:
        if kind != LOCAL:
            what = f"expected member {shown(expected)}" if self._seen else "expected a transport file (.edge)"
            found = "the end of the members" if kind == CENTRAL else shown(kind)
            self._reader.refuse(f"{what}; found {found} at byte {self._reader.position - 4:,}")
        member = zip_records.read_local(self._reader)
        if not self._seen and member.name != expected.encode():
            self._reader.refuse(f"expected {expected} as the first member; found {member.shown}")
        if self._reader.position % ALIGNMENT:
            self._reader.refuse(f"member {member.shown} does not begin at a multiple of {ALIGNMENT} bytes")
        self._seen.append(member)
        return member

    def _small(self, member: Member, most: int) -> bytes:
        if member.size > most:
            self._reader.refuse(f"member {member.shown} has {member.size} bytes; expected at most {most}")
        return b"".join(self._content(member))

    def _content(self, member: Member) -> Iterator[bytes]:
        left, crc = member.size, 0
        while left:
            piece = self._reader.some(min(left, _CHUNK))
            left, crc = left - len(piece), zlib.crc32(piece, crc)
            yield piece
        if crc != member.crc:
            self._reader.refuse(f"member {member.shown} is damaged (CRC-32)")

    def _finish(self) -> None:
        """The list of members and the end record, which can add nothing to what is known."""
        start, kind = self._reader.position, self._reader.exactly(4)
        if kind == LOCAL:
            extra = zip_records.read_local(self._reader)
            self._reader.refuse(f"the manifest does not list member {extra.shown}")
        for member in self._seen:
            if kind != CENTRAL or zip_records.read_central(self._reader) != member:
                self._reader.refuse(f"its list of members differs at {member.shown}")
            kind = self._reader.exactly(4)
        zip_records.read_end(self._reader, kind, count=len(self._seen), start=start)
