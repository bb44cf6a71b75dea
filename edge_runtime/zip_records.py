"""The records of a zip as ``edge-build pack`` writes it, each read strictly and in order from a stream.

Of what zip allows, the rest is refused: compression, encryption, flags, comments, other extra fields, other
times and modes (links and folders among them), sizes that come behind the data. Format: PKWARE's APPNOTE.TXT
6.3, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, NoReturn

from edge_runtime.errors import ArchiveError

LOCAL, CENTRAL, END, END64 = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6"
"""The first four bytes of a record. Whoever reads them decides what may follow."""

PADDING_ID = 0xD935
"""Tag of the extra field that moves a member to the next boundary; Android's zipalign uses it too."""

_LOCAL = struct.Struct("<5H3I2H")
_CENTRAL = struct.Struct("<6H3I5H2I")
_END = struct.Struct("<4H2IH")
_END64 = struct.Struct("<Q2H2I4Q4sIQI")  # with its locator, which follows at once

_ZIP64_ID, _IN_ZIP64 = 1, 0xFFFFFFFF
_UTF8 = 0x0800
_MIDNIGHT, _FIRST_DAY = 0, 0x21  # 1980-01-01
_PLAIN_FILE = 0o644 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """What a header says of a member; `offset` is where its local header begins."""

    name: bytes
    size: int
    crc: int
    offset: int

    @property
    def shown(self) -> str:
        """The name as an error shows it."""
        return ascii(self.name.decode("utf-8", "replace")[:60])


class Reader:
    """A stream that counts its bytes and refuses to end early. `source` names it in errors."""

    def __init__(self, stream: IO[bytes], source: str) -> None:
        self._stream, self.source = stream, source
        self.position = 0

    def some(self, most: int) -> bytes:
        """From 1 to `most` bytes.

        Raises:
            ArchiveError: there are none, or they cannot be read.
        """
        data = self._read(most)
        if not data:
            self.refuse(f"cut short: ends at byte {self.position:,}")
        return data

    def exactly(self, count: int) -> bytes:
        """`count` bytes. Raises as `some` does."""
        parts = bytearray()
        while len(parts) < count:
            parts += self.some(count - len(parts))
        return bytes(parts)

    def end(self) -> None:
        """Raises `ArchiveError` where anything follows."""
        if self._read(1):
            self.refuse(f"more follows its end at byte {self.position - 1:,}")

    def refuse(self, problem: str) -> NoReturn:
        """Raises `ArchiveError` with the source, the problem and what to do."""
        raise ArchiveError(f"{self.source}: {problem}; copy or pack it again")

    def _read(self, most: int) -> bytes:
        try:
            data = self._stream.read(most)
        except OSError as error:
            raise ArchiveError(f"{self.source}: cannot be read ({error.strerror})") from None
        self.position += len(data)
        return data


def read_local(reader: Reader) -> Member:
    """A member's local header, its four bytes already read; the data comes next.

    Raises:
        ArchiveError: it says what pack does not write.
    """
    offset = reader.position - 4
    version, flags, method, time, date, crc, packed, size, name_size, extra_size = _LOCAL.unpack(
        reader.exactly(_LOCAL.size)
    )
    name = reader.exactly(name_size)
    _check_common(reader, name, (version, flags, method, time, date))
    large = _zip64(reader, reader.exactly(extra_size), name)
    packed, size = _in_full(reader, (packed, size), large, name)
    if packed != size:
        reader.refuse(f"member {ascii(name)[:60]} has two sizes, {packed} and {size}")
    return Member(name, size, crc, offset)


def read_central(reader: Reader) -> Member:
    """An entry of the list at the zip's end, its four bytes already read. Raises like `read_local`."""
    made, version, flags, method, time, date, crc, packed, size, *rest = _CENTRAL.unpack(
        reader.exactly(_CENTRAL.size)
    )
    name_size, extra_size, comment_size, disk, internal, external, offset = rest
    name = reader.exactly(name_size)
    _check_common(reader, name, (version, flags, method, time, date))
    if (comment_size, disk, internal, external) != (0, 0, 0, _PLAIN_FILE) or made >> 8 != 3:
        reader.refuse(f"member {ascii(name)[:60]} is not listed as a plain file of mode 0644")
    large = _zip64(reader, reader.exactly(extra_size), name)
    packed, size, offset = _in_full(reader, (packed, size, offset), large, name)
    if packed != size:
        reader.refuse(f"member {ascii(name)[:60]} has two sizes, {packed} and {size}")
    return Member(name, size, crc, offset)


def read_end(reader: Reader, kind: bytes, *, count: int, start: int) -> None:
    """The end record, and before it that of zip64 where `kind` says so; then the stream must end.

    Args:
        kind: the four bytes already read.
        count: members; `start` is where their list begins.

    Raises:
        ArchiveError: it says otherwise.
    """
    found_at = reader.position - 4
    size = found_at - start
    if kind == END64:
        expected = (44, 45, 45, 0, 0, count, count, size, start, b"PK\6\7", 0, found_at, 1)
        if _END64.unpack(reader.exactly(_END64.size)) != expected:
            reader.refuse("its zip64 end record does not fit what precedes it")
        kind = reader.exactly(4)
    elif count >= 0xFFFF or max(size, start) >= _IN_ZIP64:
        reader.refuse("it needs a zip64 end record and has none")
    short = (0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(size, _IN_ZIP64), min(start, _IN_ZIP64), 0)
    if kind != END or _END.unpack(reader.exactly(_END.size)) != short:
        reader.refuse("its end record does not fit what precedes it")
    reader.end()


def _check_common(reader: Reader, name: bytes, fields: tuple[int, ...]) -> None:
    """What a local header and an entry in the list have in common, but for sizes and names."""
    version, flags, *rest = fields
    expected_flags = 0 if name.isascii() else _UTF8
    if version not in (20, 45) or flags != expected_flags or rest != [0, _MIDNIGHT, _FIRST_DAY]:
        found = f"version {version}, flags {flags:#x}, method {rest[0]}, time {rest[1]:#x} {rest[2]:#x}"
        reader.refuse(f"member {ascii(name)[:60]} is not as pack stores it ({found})")


def _zip64(reader: Reader, extra: bytes, name: bytes) -> Sequence[int]:
    """The numbers of the zip64 field; nothing else may stand among the extra fields but zeros as padding."""
    found: dict[int, bytes] = {}
    while extra:
        tag, size = struct.unpack_from("<2H", extra) if len(extra) >= 4 else (0, 0)
        field, rest = extra[4 : 4 + size], extra[4 + size :]
        known = tag == _ZIP64_ID or (tag == PADDING_ID and not any(field))
        if not known or tag in found or len(field) != size:
            reader.refuse(f"member {ascii(name)[:60]} has an extra field that pack does not write")
        found[tag], extra = field, rest
    large = found.get(_ZIP64_ID, b"")
    if len(large) % 8:
        reader.refuse(f"member {ascii(name)[:60]} has a zip64 field of {len(large)} bytes")
    return struct.unpack(f"<{len(large) // 8}Q", large)


def _in_full(reader: Reader, short: tuple[int, ...], large: Sequence[int], name: bytes) -> list[int]:
    """`short` with those numbers that did not fit taken from the zip64 field, which must have just these."""
    if short.count(_IN_ZIP64) != len(large):
        reader.refuse(f"member {ascii(name)[:60]} has a zip64 field that does not fit its header")
    following = iter(large)
    return [next(following) if number == _IN_ZIP64 else number for number in short]
