"""Opens a bundle directory, proves its bytes, and owns every mapping into them.

No byte of a bundle reaches a library before it was compared with the manifest: usearch has crashed, and
has searched wrongly without a word, on damaged files. Whoever views a mapping gives the view back before
`Bundle.close`.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from edge_runtime import manifest as manifests
from edge_runtime.errors import BundleError, IntegrityError
from edge_runtime.manifest import FileEntry, Manifest

Verification = Literal["full", "size"]

_CHUNK = 1 << 20


class Bundle:
    """A verified bundle directory. Open one with `Bundle.open`; close it when every view is gone."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self._maps: dict[str, mmap.mmap] = {}

    @classmethod
    def open(cls, directory: str | os.PathLike[str], *, verify: Verification = "full") -> Bundle:
        """Reads the manifest and checks every file that it lists.

        Args:
            directory: the bundle in its directory form.
            verify: ``"full"`` hashes each file; ``"size"`` trusts an earlier full check and compares
                sizes only.

        Raises:
            BundleError: not a directory, or any of its subclasses when the content is not as built.
        """
        if verify not in ("full", "size"):
            raise BundleError(f"verify: expected 'full' or 'size'; found {verify!r}")
        root = Path(directory)
        if root.is_file() and root.suffix == ".edge":
            raise BundleError(f"{root} is a transport file; unpack it: python3 -m zipfile -e {root} DIR")
        if not root.is_dir():
            raise BundleError(f"{root}: no such bundle directory; build one with edge-build build")
        manifest = manifests.read(root / manifests.FILENAME)
        check_files(root, manifest, verify=verify)
        return cls(root, manifest)

    def path(self, member: str) -> Path:
        """Where a listed file lies, for libraries that want a path."""
        return self.root / self.manifest.entry(member).path

    def map(self, member: str) -> memoryview:
        """A read-only view of a listed file, mapped once and shared; empty files give an empty view."""
        if self.manifest.entry(member).size == 0:
            return memoryview(b"")
        if member not in self._maps:
            with self.path(member).open("rb") as file:
                self._maps[member] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(self._maps[member])

    def array(self, member: str) -> NDArray[Any]:
        """A listed .npy file as a read-only array over its mapping; no data is copied.

        Raises:
            BundleError: not an .npy file of format 1.0 with plain numbers in C order.
        """
        view = self.map(member)
        shape, dtype, offset = _read_npy_header(view, self.root / member)
        flat = np.frombuffer(view, dtype=dtype, count=int(np.prod(shape)), offset=offset)
        return flat.reshape(shape)

    def close(self) -> None:
        """Unmaps everything. Views that are still held keep their own mapping alive."""
        for mapping in self._maps.values():
            try:
                mapping.close()
            except BufferError:  # a caller kept a view; the pages go when the view does
                pass
        self._maps.clear()


def check_files(root: Path, manifest: Manifest, *, verify: Verification) -> None:
    """Compares the directory with the manifest: links, sizes and, when `verify` is "full", hashes.

    Raises:
        IntegrityError: names every missing, unlisted, mis-sized or altered file, one a line.
    """
    problems = [problem for entry in manifest.files if (problem := _problem(root, entry, verify))]
    problems += _unlisted(root, manifest)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise IntegrityError(f"{root} is not as it was built; copy it again:\n{lines}")


def sha256(path: Path) -> str:
    """The sha256 of a file, read in pieces so that no more than a megabyte is held."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _problem(root: Path, entry: FileEntry, verify: Verification) -> str | None:
    path = root / entry.path
    try:
        if path.is_symlink() or not path.resolve().is_relative_to(root.resolve()):
            return f"{entry.path}: a link; expected a plain file"
        if not path.is_file():
            return f"{entry.path}: missing"
        size = path.stat().st_size
        if size != entry.size:
            return f"{entry.path}: {size} bytes; expected {entry.size}"
        if verify == "full" and (found := sha256(path)) != entry.sha256:
            return f"{entry.path}: sha256 {found[:12]}…; expected {entry.sha256[:12]}…"
    except OSError as error:
        return f"{entry.path}: cannot be read ({error.strerror})"
    return None


def _unlisted(root: Path, manifest: Manifest) -> list[str]:
    known = {entry.path for entry in manifest.files} | {manifests.FILENAME, manifests.FILENAME + ".minisig"}
    found = (path for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(root).as_posix() for path in found)
    return [f"{name}: not listed in {manifests.FILENAME}" for name in names if name not in known]


def _read_npy_header(view: memoryview, path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    head = io.BytesIO(bytes(view[:4096]))
    try:
        version = npy_format.read_magic(head)
        shape, fortran, dtype = npy_format.read_array_header_1_0(head)
    except ValueError as error:
        raise BundleError(f"{path}: not an .npy file ({error}); rebuild the bundle") from None
    expected = head.tell() + int(np.prod(shape)) * dtype.itemsize
    if version != (1, 0) or fortran or dtype.hasobject or expected != len(view):
        raise BundleError(f"{path}: not a plain .npy array of format 1.0; rebuild the bundle")
    return shape, dtype, head.tell()
