"""Transport files that are read from a pipe, and those that nobody honest has packed."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.pack import pack
from edge_runtime import BundleError, IntegrityError
from edge_runtime import manifest as manifests
from edge_runtime.archive import Archive


@pytest.fixture(scope="module")
def packed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tiny bundle's transport file."""
    return pack(bundle, tmp_path_factory.mktemp("packed") / "tiny.edge").read_bytes()


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time, and can do nothing but read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._chance = random.Random(1)

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0
        return self._data.read(min(size, self._chance.randrange(1, 40_000)))


def read(data: bytes) -> dict[str, bytes]:
    """All members of a transport file."""
    archive = Archive(Pipe(data), "t.edge")  # type: ignore[arg-type]
    members = {manifests.FILENAME: archive.manifest()}
    signature = archive.signature()
    manifest = manifests.parse(members[manifests.FILENAME])
    for entry, pieces in archive.files(manifest.files):
        members[entry.path] = b"".join(pieces)
    archive.finish()
    return members if signature is None else members | {manifests.SIGNATURE: signature}


def test_every_member_comes_through_a_pipe(packed: bytes, bundle: Path) -> None:
    """Bit by bit, without seeking: the bundle's own bytes."""
    members = read(packed)
    files = {path for path in bundle.rglob("*") if path.is_file()}
    assert {bundle / name: data for name, data in members.items()} == {p: p.read_bytes() for p in files}


def test_a_signature_comes_second(bundle_copy: Path, tmp_path: Path) -> None:
    """It is not listed in the manifest that it signs."""
    (bundle_copy / manifests.SIGNATURE).write_bytes(b"signed")
    data = pack(bundle_copy, tmp_path / "t.edge").read_bytes()
    assert read(data)[manifests.SIGNATURE] == b"signed"


Rewrite = Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None]


def repacked(packed: bytes, change: Rewrite) -> bytes:
    """The same zip after its members were changed, written by `zipfile` without our alignment's care."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    change(members)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for info, data in members:
            padding = -(target.tell() + 30 + len(info.filename.encode()) + 4) % 16384
            info.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)
            archive.writestr(info, data, info.compress_type)
    return target.getvalue()


def named(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def test_what_is_repacked_unchanged_is_sound(packed: bytes) -> None:
    """The harness of the tests below writes what is read."""
    assert read(repacked(packed, lambda members: None)) == read(packed)


def _link(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    members[2][0].create_system, members[2][0].external_attr = 3, 0o120777 << 16


def _compressed(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    members[2][0].compress_type = zipfile.ZIP_DEFLATED


def _commented(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    members[2][0].comment = b"hello"


HOSTILE: dict[str, tuple[Rewrite, str]] = {
    "the manifest not first": (lambda m: m.reverse(), "expected manifest.yaml as its first member"),
    "no member at all": (lambda m: m.clear(), "expected a member of a zip"),
    "the manifest alone": (lambda m: m.__delitem__(slice(1, None)), "found nothing more"),
    "a member missing": (lambda m: m.__delitem__(2), "as its manifest lists; found"),
    "the last missing": (lambda m: m.__delitem__(-1), "found nothing more"),
    "one twice": (lambda m: m.insert(3, (named(m[2][0].filename), m[2][1])), "as its manifest lists"),
    "two swapped": (lambda m: m.__setitem__(slice(2, 4), [m[3], m[2]]), "as its manifest lists"),
    "an unlisted one": (lambda m: m.append((named("more"), b"x")), "'more' is not listed in its manifest"),
    "a path out of it": (lambda m: m.insert(1, (named("../../etc/x"), b"x")), "found '../../etc/x'"),
    "an absolute path": (lambda m: m.insert(1, (named("/etc/x"), b"x")), "found '/etc/x'"),
    "a longer one": (lambda m: m.__setitem__(2, (m[2][0], m[2][1] + b"x")), "its manifest lists"),
    "a shorter one": (lambda m: m.__setitem__(2, (m[2][0], m[2][1][:-1])), "its manifest lists"),
    "a link": (_link, "is not a plain file"),
    "a compressed one": (_compressed, "not plainly stored"),
    "a comment": (_commented, "its directory tells otherwise"),
    "a manifest without end": (
        lambda m: m.__setitem__(0, (m[0][0], bytes(manifests.MAX_BYTES + 1))),
        "expected at most 1048576",
    ),
    "a signature without end": (
        lambda m: m.insert(1, (named(manifests.SIGNATURE), bytes(5000))),
        "expected at most 4096",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(packed: bytes, case: str) -> None:
    """With one line that says where, and what to do."""
    change, problem = HOSTILE[case]
    with pytest.raises(IntegrityError) as caught:
        read(repacked(packed, change))
    message = str(caught.value)
    assert message.startswith("t.edge, byte ")
    assert problem in message
    assert message.endswith("; copy the file again, or pack it anew")
    assert "\n" not in message


def test_what_follows_the_end(packed: bytes) -> None:
    """And what comes before the beginning."""
    with pytest.raises(IntegrityError, match="goes on behind its end"):
        read(packed + b"\0")
    with pytest.raises(IntegrityError, match="byte 0: expected a member of a zip"):
        read(b"\0" + packed)
    with pytest.raises(IntegrityError, match="byte 0: ends too early"):
        read(b"")


def test_an_unaligned_member(packed: bytes) -> None:
    """It could not be mapped where it lies."""
    name_length, extra_length = struct.unpack_from("<HH", packed, 26)
    shorter = packed[:28] + struct.pack("<H", extra_length - 1)
    shorter += packed[30 : 30 + name_length] + packed[31 + name_length :]
    with pytest.raises(IntegrityError, match="does not begin on a 16 KiB boundary"):
        read(shorter)


def test_four_gigabytes(packed: bytes) -> None:
    """zip64 is not read; the message says what is."""
    with pytest.raises(IntegrityError, match="4 GiB or more; install from the bundle's directory"):
        read(packed[:22] + b"\xff" * 4 + packed[26:])


@pytest.fixture(scope="module")
def lengths(packed: bytes) -> list[int]:
    """Where a file may be cut: at, before and behind each signature of zip, and in between."""
    marks = [at for at in range(len(packed)) if packed[at : at + 2] == b"PK"]
    return sorted({length for at in marks for length in (at - 1, at, at + 1, at + 30) if length >= 0})


def test_a_file_that_was_cut(packed: bytes, lengths: list[int]) -> None:
    """Wherever that happened."""
    for length in (length for length in lengths if length < len(packed)):
        with pytest.raises(BundleError):
            read(packed[:length])


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_byte_changed(packed: bytes, data: st.DataObject) -> None:
    """What is read is still the bundle (its files are hashed later), or there is one error of ours."""
    mark = data.draw(st.sampled_from([at for at in range(len(packed)) if packed[at : at + 2] == b"PK"]))
    place = mark + data.draw(st.integers(0, 60))
    changed = bytearray(packed)
    changed[place % len(packed)] ^= data.draw(st.integers(1, 255))
    try:
        members = read(bytes(changed))
    except BundleError:
        return
    assert members.keys() == read(packed).keys()


@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes) -> None:
    """No error but ours."""
    with pytest.raises(BundleError):
        read(b"PK\x03\x04" + data)


class Broken(io.RawIOBase):
    """A stick that was pulled out."""

    def read(self, size: int = -1, /) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_source_that_breaks() -> None:
    """Is damage of the file, not of ours."""
    with pytest.raises(IntegrityError, match=r"^t.edge, byte 0: cannot be read \(Input/output error\);"):
        Archive(Broken(), "t.edge").manifest()  # type: ignore[arg-type]
