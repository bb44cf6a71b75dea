"""The files that the store has already, by their bytes: an update need not write, or send, those again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime.errors import BundleError
from edge_runtime.manifest import FileEntry
from edge_runtime.store import arrivals, layout

Content = tuple[str, int]
"""The sha256 and the size of a file."""


class Held:
    """Where the store has which bytes, as the manifests of its bundles say."""

    def __init__(self, paths: Mapping[Content, Path]) -> None:
        self._paths = paths

    @classmethod
    def look(cls) -> Held:
        """At all installed bundles, and at what has come for the next.

        A bundle whose manifest cannot be read has nothing to offer.
        """
        paths: dict[Content, Path] = {}
        for name in layout.names():
            for bundle in layout.installed(name):
                directory = layout.folder(name) / bundle
                try:
                    files = bundles.read_manifest(directory).files
                except BundleError:
                    continue
                paths |= {(entry.sha256, entry.size): directory / entry.path for entry in files}
        return cls(paths | arrivals.whole())

    def has(self, entry: FileEntry) -> bool:
        """Whether a bundle lists these bytes. An empty file is not worth a link."""
        return entry.size > 0 and (entry.sha256, entry.size) in self._paths

    def lacking(self, entry: FileEntry) -> int:
        """How many bytes of a file are still to be written."""
        return 0 if self.has(entry) else entry.size - arrivals.begun(entry)

    def sound(self, entry: FileEntry) -> Path | None:
        """A file with these bytes, read from the disk and hashed now: a damaged one must not spread."""
        path = self._paths.get((entry.sha256, entry.size)) if self.has(entry) else None
        try:
            if path is None or path.is_symlink() or path.stat().st_size != entry.size:
                return None
            disk.forget_cached(path)
            return path if bundles.sha256(path) == entry.sha256 else None
        except OSError:
            return None
