"""Opens a bundle directory, proves its bytes, and owns every mapping into them.

No byte of a bundle reaches a library before it was compared with the manifest: usearch has crashed, and
has searched wrongly without a word, on damaged files. Whoever views a mapping gives the view back before
`Bundle.close`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import weakref
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_runtime import manifest as manifests
from edge_runtime import npy_header, signature
from edge_runtime.errors import BundleError, IntegrityError, QueryError
from edge_runtime.manifest import FileEntry, Manifest
from edge_runtime.residence import Residence
from edge_runtime.schema import shown
from edge_runtime.signature import PublicKey, Signature

Verification = Literal["full", "size"]

_CHUNK = 1 << 20


class Bundle:
    """A verified bundle directory. Open one with `Bundle.open`; close it when every view is gone."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self._place = root.resolve()  # wherever the process goes, and whatever a link says later
        self._identity = _identity(self._place)
        self._checked: dict[str, tuple[int, ...] | None] = {}
        self._maps: dict[str, mmap.mmap] = {}
        self._at_random: set[str] = set()
        self._held: list[weakref.finalize[[int], Bundle]] = []

    @classmethod
    def open(cls, directory: str | os.PathLike[str], *, verify: Verification = "full") -> Bundle:
        """Reads the manifest and checks every file that it lists.

        Args:
            directory: the bundle in its directory form.
            verify: ``"full"`` hashes each file; ``"size"`` trusts an earlier full check and compares
                sizes only.

        Raises:
            BundleError: not a directory, or any of its subclasses when the content is not as built.
            QueryError: an unknown `verify`.
        """
        if verify not in get_args(Verification):
            raise QueryError(f"verify: expected 'full' or 'size'; found {shown(verify)}")
        manifest = read_manifest(directory)
        root = Path(os.fsdecode(directory))
        bundle = cls(root, manifest)
        # First, so that what is changed during the check is not taken for what was checked.
        bundle._checked = {entry.path: _identity(bundle._place / entry.path) for entry in manifest.files}
        check_files(root, manifest, verify=verify)
        return bundle

    def path(self, member: str) -> Path:
        """Where a listed file lies, for libraries that want a path.

        Raises:
            BundleError: another directory or another file lies there by now, which would not fit to those in
                use. A file that was replaced by equal bytes, as a repair does it, is read once to tell.
        """
        entry = self.manifest.entry(member)
        if _identity(self._place) != self._identity or not self._is_as_checked(entry):
            raise BundleError(f"{self.root}: moved or replaced since it was opened; open the bundle again")
        return self._place / entry.path

    def _is_as_checked(self, entry: FileEntry) -> bool:
        """Whether a file is what it was, or has its bytes; where there is none, whoever reads it tells."""
        found = _identity(self._place / entry.path)
        if found is None or found == self._checked.get(entry.path, found):
            return True
        if problem_of(self._place, entry, verify="full"):
            return False
        self._checked[entry.path] = found
        return True

    def map(self, member: str) -> memoryview:
        """A read-only view of a listed file, mapped once and shared; empty files give an empty view.

        Raises:
            BundleError: as `path`, or it cannot be read.
        """
        if self.manifest.entry(member).size == 0:
            return memoryview(b"")
        if member not in self._maps:
            path = self.path(member)
            try:
                with path.open("rb") as file:
                    self._maps[member] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
        return memoryview(self._maps[member])

    def array(self, member: str) -> NDArray[Any]:
        """A listed .npy file as a read-only array over its mapping; no data is copied.

        Raises:
            BundleError: not an .npy file of format 1.0 with plain numbers in C order.
        """
        view = self.map(member)
        shape, dtype, offset = npy_header.read(view, self.root / member)
        return np.frombuffer(view[offset:], dtype=dtype).reshape(shape)

    def read_at_random(self, member: str) -> None:
        """Tells the system that a mapped file is read here and there: reading ahead would be for nothing."""
        if member in self._maps:
            self._maps[member].madvise(mmap.MADV_RANDOM)
            self._at_random.add(member)

    def residence(self, *members: str) -> Residence:
        """Counts what is touched of some mapped files, and gives their pages back when it is much."""
        size = sum(len(self._maps[member]) for member in members if member in self._maps)
        return Residence(size, lambda: self.give_back(*members))

    def give_back(self, *members: str) -> None:
        """Gives the pages of mapped files back to the system; of a file's mapping nothing is lost."""
        for member in members:
            if member in self._maps:
                self._maps[member].madvise(mmap.MADV_DONTNEED)

    def prefetch(self) -> None:
        """Asks the system to read ahead what is mapped so far; it may already be there, or not fit.

        Not what is read here and there: there is more of it than a search needs.
        """
        for member, mapping in list(self._maps.items()):  # another thread may map more
            if member not in self._at_random:
                mapping.madvise(mmap.MADV_WILLNEED)

    def hold(self, descriptor: int) -> None:
        """Takes over an open file descriptor, such as a lock on the directory.

        It is closed in `close`, or when nobody has the bundle any more; whoever reads from it should have it.
        """
        self._held.append(weakref.finalize(self, os.close, descriptor))
        self._held[-1].atexit = False  # threads may still read from it then; the system closes it

    def close(self) -> None:
        """Unmaps everything. Views that are still held keep their own mapping alive."""
        while self._held:
            self._held.pop()()
        for mapping in self._maps.values():
            with contextlib.suppress(BufferError):  # a caller kept a view; the pages go when the view does
                mapping.close()
        self._maps.clear()


def _identity(path: Path) -> tuple[int, ...] | None:
    """Equal for the same directory only, and for the same file as it was; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    own = (found.st_dev, found.st_ino)
    return own if stat.S_ISDIR(found.st_mode) else (*own, found.st_size, found.st_mtime_ns)


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """The manifest of a bundle directory; no other file is looked at.

    Raises:
        BundleError: no such directory, or any of its subclasses when the manifest cannot be used.
        QueryError: `directory` is no path.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise QueryError(f"bundle: expected a directory's path; found {shown(directory)}")
    root = Path(os.fsdecode(directory))  # of what is like a path, bytes may come
    try:
        if root.is_file() and root.suffix == ".edge":
            raise BundleError(f"{root} is a transport file; install it: edge-runtime install {root}")
        if not root.is_dir():
            raise BundleError(
                f"{root}: no such bundle directory; build one with edge-build build, or install one with "
                "edge-runtime install"
            )
    except OSError as error:  # may not look, or a name beyond the system's limits
        raise BundleError(f"{root}: cannot be read ({error.strerror})") from None
    return manifests.read(root / manifests.FILENAME)


def digest(directory: Path) -> str:
    """The sha256 of the manifest, which has the sha256 of every other file: equal for equal bundles only.

    Raises:
        BundleError: no such file, or it cannot be read.
    """
    return sha256_of_few(_small(directory / manifests.FILENAME, manifests.MAX_BYTES))


def check_files(root: Path, manifest: Manifest, *, verify: Verification) -> None:
    """Compares the directory with the manifest: links, sizes and, when `verify` is "full", hashes.

    Raises:
        IntegrityError: names every missing, unlisted, mis-sized or altered file, one a line.
    """
    problems = [problem for entry in manifest.files if (problem := problem_of(root, entry, verify=verify))]
    problems += [f"{name}: {what}" for name, what in unlisted(root, manifest)]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise IntegrityError(f"{root} is not as it was built; copy it again:\n{lines}")


def check_signer(directory: Path, keys: Sequence[PublicKey]) -> Signature | None:
    """Lets a bundle's directory through that one of these keys has signed; any where there are no keys.

    Raises:
        SignatureError: not signed, or by nobody who is trusted (see `signature.check`).
        BundleError: its manifest or signature cannot be read.
    """
    if not keys:
        return None
    manifest = _small(directory / manifests.FILENAME, manifests.MAX_BYTES)
    path = directory / manifests.SIGNATURE
    found = _small(path, signature.MAX_BYTES) if path.exists() else None
    return signature.check(manifest, found, keys, source=str(directory))


def _small(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > most:
        raise BundleError(f"{path}: expected at most {most} bytes; found more; copy the bundle again")
    return data


def sha256_of_few(data: bytes) -> str:
    """By CPython's own code, where it has that: OpenSSL, which hashlib brings, costs 4 MB and time."""
    for module in ("_sha2", "_sha256"):  # from 3.12 on; before
        with contextlib.suppress(ImportError):
            return str(import_module(module).sha256(data).hexdigest())
    from hashlib import sha256 as openssl

    return openssl(data).hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file, read in pieces so that no more than a megabyte is held."""
    import hashlib  # brings OpenSSL, 4 MB, which opening by sizes does not need

    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def problem_of(root: Path, entry: FileEntry, *, verify: Verification) -> str | None:
    """What is wrong with a listed file, its name first; None where it is as it was built."""
    path = root / entry.path
    try:
        if path.is_symlink() or not path.resolve().is_relative_to(root.resolve()):
            return f"{entry.path}: a link; expected a plain file"
        if not path.exists():
            return f"{entry.path}: missing"
        if not path.is_file():
            return f"{entry.path}: expected a plain file"
        size = path.stat().st_size
        if size != entry.size:
            return f"{entry.path}: {size} bytes; expected {entry.size}"
        if verify == "full" and (found := sha256(path)) != entry.sha256:
            return f"{entry.path}: sha256 {found[:12]}…; expected {entry.sha256[:12]}…"
    except OSError as error:
        return f"{entry.path}: cannot be read ({error.strerror})"
    return None


def unlisted(root: Path, manifest: Manifest) -> list[tuple[str, str]]:
    """What is in the directory and should not be: names, each with what is wrong with it."""
    listed = {entry.path for entry in manifest.files}
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name in listed:
            continue  # `problem_of` has looked at it
        if path.is_symlink():
            found.append((name, "a link; expected a plain file"))
        elif not path.is_dir() and name not in (manifests.FILENAME, manifests.SIGNATURE):
            found.append((name, f"not listed in {manifests.FILENAME}"))
    return found
