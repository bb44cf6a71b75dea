"""What every manifest that is written here says of itself: when, for which runtimes, and which files."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from build_tools.errors import BuildError
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry

OLDEST_RUNTIME = "0.2.0"
"""That reads what is written here."""


def created() -> str:
    """Now, or SOURCE_DATE_EPOCH (reproducible-builds.org) where somebody wants the same bytes again.

    Raises:
        BuildError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise BuildError(f"SOURCE_DATE_EPOCH: expected whole seconds since 1970; found {epoch!r}") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def files_of(directory: Path) -> tuple[FileEntry, ...]:
    """Size and sha256 of every file of a bundle's directory but the manifest, by path."""
    members = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple(
        FileEntry(path.relative_to(directory).as_posix(), path.stat().st_size, sha256(path))
        for path in members
        if path.name != manifests.FILENAME
    )
