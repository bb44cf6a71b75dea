"""The reader of transport files against sound ones, lying ones and damaged ones."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime import signature as signatures
from edge_runtime.archive import ALIGNMENT, Archive
from edge_runtime.errors import ArchiveError, BundleError, Error, ManifestError
from edge_runtime.manifest import FileEntry, Manifest

PADDING_ID = 0xD935


@dataclass(frozen=True)
class Part:
    """A member, and what its two headers say in place of the truth."""

    name: str
    data: bytes
    local: dict[str, int] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)
    extra: bytes | None = None


def local_header(part: Part, at: int) -> bytes:
    """As pack writes it, but for what the part says otherwise."""
    name = part.name.encode()
    truth = {
        "version": 20,
        "flags": 0 if name.isascii() else 0x800,
        "method": 0,
        "time": 0,
        "date": 0x21,
        "crc": zlib.crc32(part.data),
        "packed": len(part.data),
        "size": len(part.data),
    }
    extra = padding(at + 30 + len(name)) if part.extra is None else part.extra
    values = list((truth | part.local).values())
    return struct.pack("<4s5H3I2H", b"PK\3\4", *values, len(name), len(extra)) + name + extra


def padding(end: int) -> bytes:
    """The extra field that moves data which would begin at `end` to the next boundary."""
    size = -(end + 4) % ALIGNMENT
    return struct.pack("<2H", PADDING_ID, size) + bytes(size)


def listed(part: Part, offset: int, extra: bytes) -> bytes:
    """The entry in the zip's list."""
    name = part.name.encode()
    truth = {
        "made": 3 << 8 | 20,
        "version": 20,
        "flags": 0 if name.isascii() else 0x800,
        "method": 0,
        "time": 0,
        "date": 0x21,
        "crc": zlib.crc32(part.data),
        "packed": len(part.data),
        "size": len(part.data),
    }
    rest = {"comment": 0, "disk": 0, "internal": 0, "mode": 0o644 << 16, "offset": offset}
    first = [(truth | part.listed)[key] for key in truth]
    last = [(rest | part.listed)[key] for key in rest]
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *first, len(name), len(extra), *last) + name + extra


def zipped(parts: Sequence[Part], *, tail: bytes = b"", count: int | None = None) -> bytes:
    """A whole archive."""
    out, offsets, extras = bytearray(), [], []
    for part in parts:
        offsets.append(len(out))
        header = local_header(part, len(out))
        extras.append(header[30 + len(part.name.encode()) :])
        out += header + part.data
    start = len(out)
    for part, offset, extra in zip(parts, offsets, extras, strict=True):
        out += listed(part, offset, extra)
    number = len(parts) if count is None else count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, number, number, len(out) - start, start, 0)
    return bytes(out + end + tail)


def read(data: bytes) -> dict[str, bytes]:
    """Every file of an archive."""
    archive = Archive(io.BytesIO(data), "tiny.edge")
    return {entry.path: b"".join(pieces) for entry, pieces in archive.files()}


@pytest.fixture(scope="module")
def packed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tiny bundle's transport file."""
    return pack(bundle, tmp_path_factory.mktemp("packed") / "tiny.edge").read_bytes()


@pytest.fixture(scope="module")
def parts(bundle: Path) -> list[Part]:
    """Its members."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    names = [manifests.FILENAME, *(entry.path for entry in manifest.files)]
    return [Part(name, (bundle / name).read_bytes()) for name in names]


def test_what_pack_wrote_is_read(packed: bytes, parts: list[Part]) -> None:
    """Byte for byte; and pack writes just what the archives below begin from."""
    assert zipped(parts) == packed
    assert read(packed) == {part.name: part.data for part in parts[1:]}


def test_the_manifest_and_the_signature_come_before_all_else(parts: list[Part]) -> None:
    """So that both can be checked while nothing behind them was read."""
    signed = [parts[0], Part(manifests.SIGNATURE, b"signed"), *parts[1:]]
    data = zipped(signed)
    stream = io.BytesIO(data)
    archive = Archive(stream, "tiny.edge")
    assert archive.manifest_bytes == parts[0].data
    assert archive.manifest.name == "tiny"
    assert archive.signature == b"signed"
    assert stream.tell() < data.index(parts[1].data)
    assert [entry.path for entry, pieces in archive.files() if b"".join(pieces)] == [
        p.name for p in parts[1:]
    ]
    assert Archive(io.BytesIO(zipped(parts)), "tiny.edge").signature is None


def test_members_over_two_gigabytes(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have their sizes in another field, and the list has one end record more; here from 10 kB on."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10_000)
    large = pack(bundle, tmp_path / "large.edge").read_bytes()
    assert b"PK\6\6" in large
    assert len(read(large)) == len(manifests.read(bundle / manifests.FILENAME).files)


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time, and no way to go back."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self.most = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.most = max(self.most, size)
        return self._data.read(min(size, 777))


def test_a_pipe_that_trickles(packed: bytes, parts: list[Part]) -> None:
    """Nothing is sought, and no more is asked for than can be held."""
    pipe = Trickle(packed)
    archive = Archive(pipe, "standard input")  # type: ignore[arg-type]
    assert {entry.path: b"".join(pieces) for entry, pieces in archive.files()} == {
        part.name: part.data for part in parts[1:]
    }
    assert pipe.most <= 1 << 20


def test_a_name_that_is_not_ascii(parts: list[Part], bundle: Path) -> None:
    """It is marked as UTF-8, and must be."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    extra = FileEntry("größe.txt", 1, "0" * 64)
    changed = replace(manifest, files=(*manifest.files, extra))
    first = Part(manifests.FILENAME, manifests.dump(changed))
    good = zipped([first, *parts[1:], Part("größe.txt", b"1")])
    assert read(good)["größe.txt"] == b"1"
    with pytest.raises(ArchiveError, match="not as pack stores it"):
        read(zipped([first, *parts[1:], Part("größe.txt", b"1", local={"flags": 0})]))


Lie = Callable[[list[Part]], bytes]


def change(position: int, **fields: object) -> Lie:
    """One member otherwise."""

    def lie(parts: list[Part]) -> bytes:
        changed = list(parts)
        changed[position] = replace(changed[position], **fields)  # type: ignore[arg-type]
        return zipped(changed)

    return lie


LIES: dict[str, tuple[Lie, str]] = {
    "no zip": (
        lambda parts: b"hello, world",
        r"expected a transport file \(.edge\); found b'hell' at byte 0",
    ),
    "nothing": (lambda parts: b"", "cut short: ends at byte 0"),
    "an empty zip": (lambda parts: zipped([]), "expected a transport file"),
    "no manifest first": (
        lambda parts: zipped([*parts[1:], parts[0]]),
        "expected manifest.yaml as the first",
    ),
    "a member that leaves the directory": (change(1, name="../../etc/passwd"), "found '../../etc/passwd'"),
    "an absolute member": (change(1, name="/etc/passwd"), "found '/etc/passwd'"),
    "another name": (change(2, name="other"), "expected member '.*'; found 'other'"),
    "a name in other letters": (
        lambda parts: change(1, name=parts[1].name.upper())(parts),
        "expected member",
    ),
    "a directory": (lambda parts: zipped([parts[0], Part("lexical/", b""), *parts[1:]]), "found 'lexical/'"),
    "an unlisted member": (
        lambda parts: zipped([*parts, Part("evil.so", b"x")]),
        "the manifest does not list member 'evil.so'",
    ),
    "a member twice": (lambda parts: zipped([*parts, parts[1]]), "the manifest does not list member"),
    "the manifest twice": (lambda parts: zipped([parts[0], *parts]), "found 'manifest.yaml'"),
    "two signatures": (
        lambda parts: zipped([parts[0], *[Part(manifests.SIGNATURE, b"s")] * 2, *parts[1:]]),
        "found 'manifest.yaml.minisig'",
    ),
    "a late signature": (
        lambda parts: zipped([*parts, Part(manifests.SIGNATURE, b"s")]),
        "does not list member 'manifest.yaml.minisig'",
    ),
    "a huge signature": (
        lambda parts: zipped(
            [parts[0], Part(manifests.SIGNATURE, bytes(signatures.MAX_BYTES + 1)), *parts[1:]]
        ),
        "has 16385 bytes; expected at most 16384",
    ),
    "a huge manifest": (
        change(0, data=bytes(manifests.MAX_BYTES + 1)),
        "has 1048577 bytes; expected at most 1048576",
    ),
    "a missing member": (
        lambda parts: zipped(parts[:-1]),
        "expected member '.*'; found the end of the members",
    ),
    "an order of its own": (
        lambda parts: zipped([parts[0], parts[2], parts[1], *parts[3:]]),
        "expected member",
    ),
    "a longer member": (
        lambda parts: change(1, data=parts[1].data + b"x")(parts),
        "the manifest has",
    ),
    "a bomb": (change(1, local={"method": 8}), r"not as pack stores it .*method 8"),
    "encryption": (change(1, local={"flags": 1}), "not as pack stores it .*flags 0x1"),
    "sizes behind the data": (change(1, local={"flags": 8}), "not as pack stores it .*flags 0x8"),
    "two sizes": (change(1, local={"packed": 7}), "has two sizes, 7 and"),
    "another checksum": (change(1, local={"crc": 7}, listed={"crc": 7}), r"is damaged \(CRC-32\)"),
    "a time": (change(1, local={"time": 1}), "not as pack stores it"),
    "a link": (change(1, listed={"mode": 0o120777 << 16}), "not listed as a plain file of mode 0644"),
    "a device": (change(1, listed={"mode": 0o060644 << 16}), "not listed as a plain file"),
    "a program": (change(1, listed={"mode": 0o755 << 16}), "not listed as a plain file"),
    "a comment": (change(1, listed={"comment": 5}), "not listed as a plain file"),
    "another size in the list": (
        change(1, listed={"packed": 1, "size": 1}),
        "its list of members differs at",
    ),
    "overlapping members": (change(2, listed={"offset": 0}), "its list of members differs at"),
    "a shorter list": (lambda parts: zipped(parts, count=3), "its end record does not fit"),
    "more behind the end": (lambda parts: zipped(parts, tail=b"\0"), "more follows its end at byte"),
    "another zip behind it": (lambda parts: zipped(parts) + zipped(parts), "more follows its end"),
    "something before it": (lambda parts: b"#!/bin/sh\n" + zipped(parts), "expected a transport file"),
    "no padding": (change(1, extra=b""), "does not begin at a multiple of 16384 bytes"),
    "padding that says something": (
        change(1, extra=struct.pack("<2H", PADDING_ID, 4) + b"evil"),
        "has an extra field that pack does not write",
    ),
    "an unknown extra field": (change(1, extra=struct.pack("<2H", 0x7075, 0)), "has an extra field"),
    "a field that is cut short": (change(1, extra=b"\1\0\x10\0"), "has an extra field"),
    "a field of three bytes": (change(1, extra=b"\1\0\0"), "has an extra field"),
    "sizes that nobody needs": (
        change(1, extra=struct.pack("<2H2Q", 1, 16, 1, 1)),
        "zip64 field that does not fit",
    ),
    "sizes that are not there": (
        change(1, local={"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF}),
        "zip64 field that does not fit",
    ),
    "a size of exabytes": (
        change(
            1,
            local={"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF},
            extra=struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63) + padding(30 + 20),
        ),
        "does not begin at a multiple|the manifest has",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(parts: list[Part], lie: str) -> None:
    """Each is refused on one line that says what was expected, found and to be done."""
    make, problem = LIES[lie]
    with pytest.raises(BundleError, match=problem) as caught:
        read(make(parts))
    assert str(caught.value).startswith("tiny.edge: ")
    assert str(caught.value).endswith("; copy or pack it again")
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_none(parts: list[Part]) -> None:
    """Its own reader says so; paths in it are checked there."""
    with pytest.raises(ManifestError, match=r"tiny.edge, manifest.yaml: no 'format' number"):
        read(zipped([Part(manifests.FILENAME, b"name: tiny\n"), *parts[1:]]))
    path = parts[1].name.encode()
    leaving = parts[0].data.replace(b"path: " + path, b"path: ../" + path)
    with pytest.raises(ManifestError, match="expected a plain relative path"):
        read(zipped([Part(manifests.FILENAME, leaving), *parts[1:]]))


def test_every_length_but_the_whole_is_too_short(packed: bytes) -> None:
    """Whether the cut is in a header, in a file or in the list."""
    cuts = {0, 1, 4, 29, 30, 31, len(packed) - 1, len(packed) - 21, len(packed) - 22, len(packed) - 23}
    for cut in sorted(cuts | set(range(0, len(packed), 9973))):
        with pytest.raises(ArchiveError, match=f"cut short: ends at byte {cut:,}"):
            read(packed[:cut])


def test_a_stream_that_fails(packed: bytes) -> None:
    """A stick that is pulled out is an error of ours."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 20_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    archive = Archive(Broken(packed), "tiny.edge")
    with pytest.raises(ArchiveError, match=r"tiny.edge: cannot be read \(Input/output error\)"):
        list(map(b"".join, (pieces for _, pieces in archive.files())))


@pytest.fixture(scope="module")
def headers(packed: bytes, parts: list[Part]) -> list[int]:
    """Where the archive says something: not in files, not in padding."""
    content = zipped([replace(part, data=bytes(len(part.data))) for part in parts])
    return [place for place, byte in enumerate(content) if byte]


@settings(max_examples=200)
@given(place=st.integers(0), bit=st.integers(0, 7), header=st.booleans())
def test_a_flipped_bit(
    packed: bytes, parts: list[Part], headers: list[int], place: int, bit: int, header: bool
) -> None:
    """It is refused, or it is one that says nothing: never other bytes, never another error."""
    damaged = bytearray(packed)
    damaged[headers[place % len(headers)] if header else place % len(packed)] ^= 1 << bit
    try:
        found = read(bytes(damaged))
    except Error as error:
        assert str(error)  # noqa: PT017 (either is right)
    else:
        assert found == {part.name: part.data for part in parts[1:]}


@settings(max_examples=200)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(packed: bytes, noise: bytes, after: bool) -> None:
    """Noise, alone or where the members would begin, ends in one error of ours."""
    data = packed[:ALIGNMENT] + noise if after else noise
    with pytest.raises(Error):
        read(data)


def test_the_manifest_is_parsed_once_and_is_a_manifest(packed: bytes) -> None:
    """What `files` compares with is what a signature was checked for."""
    archive = Archive(io.BytesIO(packed), "tiny.edge")
    assert isinstance(archive.manifest, Manifest)
    assert manifests.parse(archive.manifest_bytes) == archive.manifest
