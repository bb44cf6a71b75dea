"""What is flashed: a sound bundle as a directory, for every file of it is sent on its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build_tools.errors import FlashError
from edge_runtime import manifest as manifests
from edge_runtime import signature as signatures
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import FileEntry, Manifest
from edge_runtime.store import sources, staging
from edge_runtime.store.held import Held


@dataclass(frozen=True, slots=True)
class Source:
    """A bundle that was hashed.

    Attributes:
        given: as it was named: a directory or a transport file.
        directory: of the bundle; for a transport file, one that vanishes afterwards.
        signature: what is in manifest.yaml.minisig, if that is there.
    """

    given: Path
    directory: Path
    manifest_bytes: bytes
    signature: bytes | None
    manifest: Manifest

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(entry.size for entry in self.manifest.files)

    @property
    def transport_name(self) -> str:
        """What its transport file is called."""
        return f"{self.manifest.name}-{self.manifest.version}.edge"

    def path(self, entry: FileEntry) -> Path:
        """Of one of its files."""
        return self.directory / entry.path


@contextmanager
def opened(bundle: Path) -> Iterator[Source]:
    """A bundle's directory or transport file, every byte of it checked.

    Raises:
        BundleError: it is neither, or damaged (see its subclasses).
        FlashError: a transport file cannot be unpacked.
    """
    if bundle.is_dir():
        yield _read(bundle, bundle)
        return
    with tempfile.TemporaryDirectory(prefix="edge-flash-") as temporary:
        folder = Path(temporary, "bundle")
        with sources.opened(bundle) as incoming:
            try:
                staging.write(incoming, folder, held=Held({}), progress=lambda done, total: None)
            except OSError as error:
                raise FlashError(f"{folder}: {error.strerror}; set TMPDIR to a folder with room") from None
        yield _read(bundle, folder)


def _read(given: Path, directory: Path) -> Source:
    Bundle.open(directory, verify="full").close()
    manifest_bytes = (directory / manifests.FILENAME).read_bytes()
    path = directory / manifests.SIGNATURE
    signature = path.read_bytes() if path.exists() else None
    if signature is not None and len(signature) > signatures.MAX_BYTES:
        raise FlashError(f"{path}: expected at most {signatures.MAX_BYTES} bytes; found {len(signature)}")
    manifest = manifests.parse(manifest_bytes, str(directory / manifests.FILENAME))
    return Source(given, directory, manifest_bytes, signature, manifest)
