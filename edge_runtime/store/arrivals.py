"""Files that come over a line, one by one, for a bundle that is not installed yet; each under its sha256.

    ROOT/incoming/SHA256         whole; hashed once more before it is used
    ROOT/incoming/SHA256.part    its beginning: where the line broke, the next attempt goes on
    ROOT/incoming/delta/         what rsync works in, while it does; see `bases`

They are those of one bundle at most, so never more than its size: what another one has left is removed
when this one begins, and all of it once it is installed. Only for whoever holds `lock.receiver`, but for
what merely looks.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import disk
from edge_runtime.errors import IntegrityError, StoreError
from edge_runtime.manifest import SHA256_PATTERN, FileEntry
from edge_runtime.store import layout, lock

_PART = ".part"
_PATIENCE, _PAUSE_SECONDS = 20, 0.1


def whole() -> dict[tuple[str, int], Path]:
    """Where the whole files are, by sha256 and size."""
    try:
        found = [path for path in layout.incoming().iterdir() if SHA256_PATTERN.fullmatch(path.name)]
        return {(path.name, path.stat().st_size): path for path in found if _is_plain(path)}
    except OSError:
        return {}


def begun(entry: FileEntry) -> int:
    """How many bytes of a file are there; 0 where what is there cannot be its beginning."""
    part = _part(entry)
    try:
        size = part.stat().st_size if _is_plain(part) else 0
    except OSError:
        return 0
    return size if size <= entry.size else 0


def keep_only(entries: Iterable[FileEntry]) -> None:
    """Removes all that is not of these files. Raises `OSError`."""
    clear_delta()
    wanted = {name for entry in entries for name in (entry.sha256, entry.sha256 + _PART)}
    for path in list(layout.incoming().iterdir()):
        if path.name not in wanted:
            disk.remove_tree(path)


def forget(entry: FileEntry) -> None:
    """Removes the whole file, which was found damaged, and a part that is no beginning. Raises `OSError`."""
    disk.remove_tree(layout.incoming() / entry.sha256)
    if not begun(entry):
        disk.remove_tree(_part(entry))


def add(entry: FileEntry, pieces: Iterable[bytes]) -> None:
    """Puts the rest of a file behind its beginning, and proves the whole.

    Raises:
        IntegrityError: it has another size or sha256; then it is removed.
        OSError: the disk is full or fails. What `pieces` raises comes through, and what came stays.
    """
    part = _part(entry)
    disk.append(part, pieces)
    size = part.stat().st_size
    if size != entry.size or bundles.sha256(part) != entry.sha256:
        disk.remove_file(part)
        problem = f"{size} bytes that are not those of the manifest; it was removed, send it again"
        raise IntegrityError(f"{entry.path}: what came is damaged: {problem}")
    disk.move(part, layout.incoming() / entry.sha256)


def clear() -> None:
    """Removes everything. Raises `OSError`."""
    keep_only(())


def delta() -> Path:
    """Where `bases` lays out files for rsync."""
    return layout.incoming() / "delta"


def clear_delta() -> None:
    """Removes it, with whatever rsync has left there. Raises `OSError`."""
    for _ in range(_PATIENCE):
        try:
            disk.remove_tree(delta())
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            time.sleep(_PAUSE_SECONDS)  # its line is broken, and it puts its last file there
        else:
            return
    disk.remove_tree(delta())


def clear_unless_receiving() -> None:
    """As `clear`, where no process is putting files there. Raises `OSError`."""
    if layout.incoming().is_dir():
        try:
            with lock.receiver(wait_seconds=0):
                clear()
        except StoreError:
            pass


def _part(entry: FileEntry) -> Path:
    return layout.incoming() / f"{entry.sha256}{_PART}"


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
