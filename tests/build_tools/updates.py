"""What tests of updates share: changes of the tiny corpus, and what a bundle holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools import update
from build_tools.build import Built
from build_tools.progress import Progress
from build_tools.update import Changes
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex

Line = dict[str, object]

CHANGED: Line = {
    "id": "bread-3",
    "title": "bread crust",
    "text": "A crust needs steam. Error E-777 means that the oven door was open.",
    "section": "bread",
}
NEW: Line = {
    "id": "radio-99",
    "title": "radio aerial",
    "text": "Put the aerial on the roof. Keep the noise of the battery away from the dial.",
    "section": "radio",
}


def run(home: Path, add: Sequence[Path] = (), remove: Sequence[str] = (), **options: object) -> Built:
    """The update of the bundle in this build folder."""
    return update.update(
        home / "bundle",
        Changes(tuple(add), tuple(remove)),
        Progress(),
        **options,  # type: ignore[arg-type]
    )


def digests(bundle: Path) -> dict[str, str]:
    """Of every file that the manifest lists."""
    return {entry.path: entry.sha256 for entry in manifests.read(bundle / "manifest.yaml").files}


def everything(folder: Path) -> dict[str, bytes]:
    """The bytes of every file in a folder but the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def codes(bundle: Path) -> NDArray[np.int8]:
    """Every vector of the index, int8 (passages, ndim)."""
    opened = Bundle.open(bundle)
    dense = DenseIndex.open(opened, opened.manifest.index)
    found = dense.vectors(np.arange(opened.manifest.index.count))
    dense.close()
    opened.close()
    return found
