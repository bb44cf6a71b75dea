"""Other versions of a bundle, made without a build: what tests of installs, updates and flashes need."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry


def another(bundle: Path, folder: Path, version: str, *, name: str | None = None, note: str = "") -> Path:
    """A copy under another version, and another name if one is given; the quality card alone has other bytes.

    Args:
        folder: where the copy will be; does not exist yet.
        note: goes into the card, which differs from version to version without it as well.
    """
    copy = Path(shutil.copytree(bundle, folder))
    manifest = manifests.read(copy / manifests.FILENAME)
    with (copy / manifest.quality).open("a") as card:
        card.write(f"# {version} {note}\n")
    list_anew(copy, version=version, name=name or manifest.name)
    return copy


def list_anew(bundle: Path, **changes: Any) -> None:
    """Writes a manifest that vouches for the files as they are now, with these fields changed."""
    path = bundle / manifests.FILENAME
    manifest = manifests.read(path)
    paths = [(entry.path, bundle / entry.path) for entry in manifest.files]
    files = tuple(FileEntry(name, file.stat().st_size, sha256(file)) for name, file in paths)
    path.write_bytes(manifests.dump(replace(manifest, files=files, **changes)))
