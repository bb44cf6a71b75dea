"""The transport file, read back byte by byte."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from build_tools.errors import BuildError
from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.archive import ALIGNMENT
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, IntegrityError


def data_offsets(path: Path) -> dict[str, int]:
    """Where each member's bytes start, by the local headers."""
    offsets = {}
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            signature, name, extra = struct.unpack_from("<4s22xHH", data, info.header_offset)
            assert signature == b"PK\3\4"
            offsets[info.filename] = info.header_offset + 30 + name + extra
    return offsets


@pytest.fixture(scope="module")
def packed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle's transport file."""
    return pack(bundle, tmp_path_factory.mktemp("packed") / "tiny.edge")


def test_members_start_on_page_boundaries(packed: Path) -> None:
    """Of 16 KiB, and what lies there is the file itself."""
    offsets = data_offsets(packed)
    assert {offset % ALIGNMENT for offset in offsets.values()} == {0}
    assert packed.read_bytes()[offsets[manifests.FILENAME] :].startswith(b"format:")


def test_large_members_too(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those over 2 GiB get a longer header; here that begins at 10 kB."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10_000)
    offsets = data_offsets(pack(bundle, tmp_path / "large.edge"))
    assert {offset % ALIGNMENT for offset in offsets.values()} == {0}


def test_members(packed: Path, bundle: Path) -> None:
    """The manifest first, then all that it lists; stored; no time, owner or mode of this machine."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    with zipfile.ZipFile(packed) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == [
        manifests.FILENAME,
        *(entry.path for entry in manifest.files),
    ]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o644}


def test_the_same_bundle_gives_the_same_bytes(packed: Path, bundle_copy: Path, tmp_path: Path) -> None:
    """Whatever the times and modes of its files."""
    for path in bundle_copy.rglob("*.npy"):
        path.touch()
        path.chmod(0o600)
    assert pack(bundle_copy, tmp_path / "again.edge").read_bytes() == packed.read_bytes()


def test_python_unpacks_it(packed: Path, tmp_path: Path) -> None:
    """And the result is the bundle."""
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    Bundle.open(tmp_path / "unpacked").close()


def test_a_signature_comes_second(bundle_copy: Path, tmp_path: Path) -> None:
    """So that it can be checked before anything else is read."""
    signature = f"{manifests.FILENAME}.minisig"
    (bundle_copy / signature).write_text("signed", "utf-8")
    with zipfile.ZipFile(pack(bundle_copy, tmp_path / "signed.edge")) as archive:
        assert archive.namelist()[:2] == [manifests.FILENAME, signature]


def test_a_damaged_bundle_is_refused(bundle_copy: Path, tmp_path: Path) -> None:
    """An earlier transport file stays as it is."""
    target = tmp_path / "tiny.edge"
    target.write_bytes(b"earlier")
    (bundle_copy / "dense.usearch").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=r"dense\.usearch"):
        pack(bundle_copy, target)
    assert target.read_bytes() == b"earlier"


def test_not_a_bundle(tmp_path: Path) -> None:
    """Nothing is written."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError):
        pack(tmp_path / "empty", tmp_path / "tiny.edge")
    with pytest.raises(BundleError, match="no such bundle directory"):
        pack(tmp_path / "missing", tmp_path / "tiny.edge")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_target_inside_the_bundle(bundle_copy: Path) -> None:
    """It would make the bundle one with an unlisted file."""
    with pytest.raises(BuildError, match="lies in the bundle itself"):
        pack(bundle_copy, bundle_copy / "encoders" / "tiny.edge")
    Bundle.open(bundle_copy).close()


def test_nothing_half_written_is_left(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, say."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        pack(bundle, tmp_path / "tiny.edge")
    assert list(tmp_path.iterdir()) == []
