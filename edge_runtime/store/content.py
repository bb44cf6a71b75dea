"""What the directory of an installed bundle must hold to be the bundle that came."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime import manifest as manifests
from edge_runtime.errors import BundleError, IntegrityError
from edge_runtime.store import layout
from edge_runtime.store.sources import Incoming


def bundle_name(incoming: Incoming) -> str:
    """The name of its directory."""
    digest = hashlib.sha256(incoming.manifest_bytes).hexdigest()
    return layout.bundle_name(incoming.manifest.version, digest)


def small_files(incoming: Incoming) -> dict[str, bytes]:
    """The manifest and, where there is one, its signature, by their names: what no manifest lists."""
    files = {manifests.FILENAME: incoming.manifest_bytes}
    if incoming.signature is not None:
        files[manifests.SIGNATURE] = incoming.signature
    return files


def is_sound(directory: Path, incoming: Incoming) -> bool:
    """Whether an earlier install has left this very bundle there, and it is as it was."""
    if directory.is_symlink():  # which no reader follows
        return False
    try:
        read_back(directory, incoming)
    except BundleError:
        return False
    return True


def read_back(directory: Path, incoming: Incoming) -> None:
    """Compares what the disk has, not what the kernel remembers of it, with the bundle that came.

    Raises:
        BundleError: it is something else, or cannot be read (see its subclasses).
    """
    expected = small_files(incoming)
    try:
        forget_cached(directory)
        found = {name: (directory / name).read_bytes() for name in expected}
    except OSError as error:
        raise IntegrityError(f"{directory}: cannot be read back ({error.strerror})") from None
    if found != expected:
        raise IntegrityError(f"{directory}: the disk gives other bytes than were written; replace it")
    bundles.Bundle.open(directory, verify="full").close()


def forget_cached(directory: Path) -> None:
    """Makes the next reading of any file in there one of the disk, and not of memory. Raises OSError."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            disk.forget_cached(path)
