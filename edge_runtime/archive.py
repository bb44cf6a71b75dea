"""Reads a transport file (NAME-VERSION.edge) from its beginning to its end, without ever going back.

So it may come through a pipe, and no more than a megabyte of it is in memory. The file is a zip of stored
members that start on 16 KiB boundaries, in the manifest's order, the manifest first; docs/bundle-format.md is
the specification, APPNOTE.TXT 6.3 that of zip. Whatever else a zip may be is refused: nobody needs it here,
and readers that disagree about it have been attacked through it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edge_runtime import manifest as manifests
from edge_runtime.errors import IntegrityError
from edge_runtime.manifest import FileEntry
from edge_runtime.schema import shown

ALIGNMENT = 16384
MAX_SIGNATURE_BYTES = 4096

_CHUNK = 1 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_MAX_EXTRA = ALIGNMENT + 64
_FILE_TYPE, _PLAIN_FILE = 0o170000, 0o100000
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    crc: int
    offset: int


class Archive:
    """One pass over a transport file: `manifest`, `signature`, then `files`, then `finish`.

    Each raises IntegrityError when the file is not what `edge-build pack` writes.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Args: `stream` is at the file's first byte; `name` is for errors."""
        self._stream, self.name = stream, name
        self._offset = 0
        self._seen: list[_Member] = []
        self._next: _Member | None = None
        self._at_directory = False

    def manifest(self) -> bytes:
        """The bytes of the manifest, which must come first."""
        member = self._open()
        if member is None or member.name != manifests.FILENAME:
            found = "nothing" if member is None else shown(member.name)
            raise self._problem(f"expected {manifests.FILENAME} as its first member; found {found}")
        self._within(member, manifests.MAX_BYTES)
        return self._exactly(member.size)

    def signature(self) -> bytes | None:
        """The bytes of the manifest's signature; None when the file has none."""
        self._next = self._open()
        if self._next is None or self._next.name != manifests.SIGNATURE:
            return None
        member, self._next = self._next, None
        self._within(member, MAX_SIGNATURE_BYTES)
        return self._exactly(member.size)

    def files(self, entries: tuple[FileEntry, ...]) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
        """Each file that the manifest lists with its bytes in pieces, which must all be taken."""
        for entry in entries:
            member = self._next or self._open()
            self._next = None
            if member is None or member.name != entry.path:
                found = "nothing more" if member is None else shown(member.name)
                raise self._problem(f"expected the member {entry.path}, as its manifest lists; found {found}")
            if member.size != entry.size:
                raise self._problem(f"{entry.path}: {member.size} bytes; its manifest lists {entry.size}")
            yield entry, self._pieces(member.size)

    def finish(self) -> None:
        """Reads the directory at the end, which must tell of the same members, and that nothing follows."""
        if (extra := self._next or self._open()) is not None:
            raise self._problem(f"{shown(extra.name)} is not listed in its manifest")
        start = self._offset - 4  # `_open` has read its first four bytes
        signature = b"PK\x01\x02"
        for member in self._seen:
            self._same(member, signature + self._exactly(_CENTRAL.size - 4))
            signature = self._exactly(4)
        size, count = self._offset - 4 - start, len(self._seen)
        expected = _END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0)
        if signature + self._exactly(_END.size - 4) != expected:
            raise self._problem("its end does not tell of the members before it")
        if self._read(1):
            raise self._problem("goes on behind its end")

    def _open(self) -> _Member | None:
        """The next member, with the stream at its first byte; None at the directory."""
        if self._at_directory:
            return None
        signature = self._exactly(4)
        if signature == b"PK\x01\x02":
            self._at_directory = True
            return None
        if signature != b"PK\x03\x04":
            raise self._problem("expected a member of a zip", self._offset - 4)
        start = self._offset - 4
        head = _LOCAL.unpack(signature + self._exactly(_LOCAL.size - 4))
        _, _, flags, method, _, _, crc, stored, size, name_length, extra_length = head
        if _ZIP64 in (stored, size):
            raise self._problem("a member of 4 GiB or more; install from the bundle's directory", start)
        if flags & ~0x800 or method != 0 or stored != size or extra_length > _MAX_EXTRA:
            raise self._problem("a member that is not plainly stored", start)
        name = self._exactly(name_length).decode("utf-8", "replace")
        self._exactly(extra_length)
        if self._offset % ALIGNMENT:
            raise self._problem(f"{shown(name)} does not begin on a 16 KiB boundary", start)
        member = _Member(name, size, crc, start)
        self._seen.append(member)
        return member

    def _same(self, member: _Member, head: bytes) -> None:
        values = _CENTRAL.unpack(head)
        flags, method, crc, stored, size = values[3], values[4], *values[7:10]
        name_length, extra_length, comment_length = values[10:13]
        kind = values[15] >> 16 & _FILE_TYPE
        name = self._exactly(name_length).decode("utf-8", "replace")
        self._exactly(min(extra_length, _MAX_EXTRA))
        found = (name, size, crc, values[16])
        plain = not (flags & ~0x800 or method or stored != size or comment_length or values[13])
        if found != (member.name, member.size, member.crc, member.offset) or not plain:
            raise self._problem(f"its directory tells otherwise of {member.name} than the member itself")
        if kind not in (0, _PLAIN_FILE) or extra_length > _MAX_EXTRA:
            raise self._problem(f"{member.name} is not a plain file")

    def _within(self, member: _Member, most: int) -> None:
        if member.size > most:
            raise self._problem(f"{member.name}: {member.size} bytes; expected at most {most}")

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._exactly(min(size, _CHUNK))
            size -= len(piece)
            yield piece

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) != count:
            raise self._problem("ends too early")
        return data

    def _read(self, count: int) -> bytes:
        """So many bytes, fewer at the end; a pipe gives them bit by bit."""
        pieces = []
        try:
            while count and (piece := self._stream.read(count)):
                pieces.append(piece)
                count -= len(piece)
                self._offset += len(piece)
        except OSError as error:
            raise self._problem(f"cannot be read ({error.strerror})") from None
        return b"".join(pieces)

    def _problem(self, what: str, offset: int | None = None) -> IntegrityError:
        place = self._offset if offset is None else offset
        return IntegrityError(f"{self.name}, byte {place}: {what}; copy the file again, or pack it anew")
