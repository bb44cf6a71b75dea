"""What is asked of pip for a device, and for which devices there are wheels at all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from build_tools.errors import FlashError
from build_tools.flash import wheelhouse
from build_tools.flash.wheelhouse import Board
from edge_runtime import manifest as manifests
from edge_runtime.manifest import PQ_FILES, FileEntry
from edge_runtime.schema import SchemaError

from .conftest import GOLDEN


@pytest.mark.parametrize(
    ("board", "problem"),
    [
        ((9, "aarch64", 36), r"expected Python 3.10 or newer; found Python 3.9"),
        ((11, "armv7l", 36), r"expected aarch64 or x86_64; found 'armv7l'; a 64-bit system is needed"),
        ((11, "aarch64", 0), r"expected a GNU C library from 2.17 on"),
        ((11, "aarch64", 10**9), r"expected a GNU C library"),
    ],
)
def test_boards_without_wheels(board: tuple[int, str, int], problem: str) -> None:
    """Said before anything is fetched."""
    with pytest.raises(SchemaError, match=problem):
        Board(*board)


def test_what_fits() -> None:
    """Bookworm on a Pi: its own Python, the stable ABI, and every C library up to its own, newest first."""
    given = wheelhouse._fitting(Board(11, "aarch64", 36))
    assert given[:5] == ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"]
    platforms = [value for name, value in pairwise(given) if name == "--platform"]
    assert platforms[0] == "manylinux_2_36_aarch64"
    assert platforms[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def test_extras() -> None:
    """The engines of the bundle's encoders, of which a static one needs none, and of its reranker."""
    manifest = manifests.read(GOLDEN / manifests.FILENAME)
    assert wheelhouse.extras_for(manifest, signed=False) == ("onnx",)
    assert wheelhouse.extras_for(manifest, signed=True) == ("onnx", "signing")
    (static,) = (encoder for encoder in manifest.encoders if encoder.kind == "static")
    alone = replace(manifest, encoders=(static,))
    assert wheelhouse.extras_for(alone, signed=False) == ()


def test_extras_of_indexes() -> None:
    """Words of another language than English are cut by Snowball, product codes searched by faiss."""
    manifest = manifests.read(GOLDEN / manifests.FILENAME)
    german = replace(manifest.lexical, stemmer="german")
    assert wheelhouse.extras_for(replace(manifest, lexical=german), signed=False) == ("languages", "onnx")
    dense = FileEntry("dense/codes.faiss", 1, "0" * 64)
    listed = [replace(dense, path=f"dense/{name}") for name in PQ_FILES]
    codes = replace(manifest.index, search="pq", path="dense")
    with_codes = replace(manifest, index=codes, files=(*manifest.files, *listed))
    assert wheelhouse.extras_for(with_codes, signed=True) == ("faiss", "onnx", "signing")


def test_digest(tmp_path: Path) -> None:
    """Changes with what is in the wheels."""
    (tmp_path / "a.whl").write_text("a")
    before = wheelhouse.digest(tmp_path)
    (tmp_path / "a.whl").write_text("b")
    assert len(before) == 12
    assert wheelhouse.digest(tmp_path) != before


def test_without_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime's own wheel is made of it; pip's complaints are passed on in one line."""
    monkeypatch.setattr(wheelhouse, "ROOT", tmp_path)
    with pytest.raises(FlashError, match="run edge-build from a checkout"):
        wheelhouse.fetch(Board(11, "aarch64", 36), (), tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(FlashError, match=r"^pip wheel: .+"):
        wheelhouse.fetch(Board(11, "aarch64", 36), (), tmp_path)
