"""Bundles of several versions, as transport files, and a device that is empty."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry

Release = Callable[..., Path]


@pytest.fixture(scope="session")
def release(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Packs the tiny bundle under another version, name or quality card; each is made once."""
    made: dict[tuple[str, str, str], Path] = {}

    def packed(version: str, *, name: str = "tiny", card: str = "") -> Path:
        key = (version, name, card)
        if key not in made:
            folder = tmp_path_factory.mktemp("release")
            copy = Path(shutil.copytree(bundle, folder / "bundle"))
            manifest = manifests.read(copy / manifests.FILENAME)
            quality = copy / manifest.quality
            quality.write_text(f"{quality.read_text()}# {version} {name} {card}\n")
            entry = FileEntry(manifest.quality, quality.stat().st_size, sha256(quality))
            files = tuple(entry if entry.path == old.path else old for old in manifest.files)
            changed = replace(manifest, version=version, name=name, files=files)
            (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
            made[key] = pack(copy, folder / f"{name}-{version}.edge")
        return made[key]

    return packed
