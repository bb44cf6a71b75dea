"""Two versions of the tiny bundle, packed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry


def _release(bundle: Path, folder: Path, version: str) -> Path:
    """Under another version, with one file of its own."""
    copy = Path(shutil.copytree(bundle, folder / version))
    manifest = manifests.read(copy / manifests.FILENAME)
    quality = copy / manifest.quality
    quality.write_text(f"{quality.read_text()}# {version}\n")
    entry = FileEntry(manifest.quality, quality.stat().st_size, sha256(quality))
    files = tuple(entry if entry.path == old.path else old for old in manifest.files)
    changed = replace(manifest, version=version, files=files)
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return pack(copy, folder / f"tiny-{version}.edge")


@pytest.fixture(scope="session")
def releases(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """1.0.0 and 2.0.0."""
    folder = tmp_path_factory.mktemp("releases")
    return [_release(bundle, folder, version) for version in ("1.0.0", "2.0.0")]
