"""Things that take minutes to make, kept under a name that says what they were made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_KEY_LENGTH = 16


def root() -> Path:
    """$XDG_CACHE_HOME/edge-runtime/device, or that in ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "edge-runtime" / "device"


def key(inputs: Sequence[str | bytes]) -> str:
    """A name for what is made of these inputs and no others."""
    digest = hashlib.sha256()
    for each in inputs:
        data = each.encode() if isinstance(each, str) else each
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:_KEY_LENGTH]


def folder(kind: str, inputs: Sequence[str | bytes], make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills, once for the same inputs; two processes do not make it twice.

    Args:
        kind: in a word; begins the folder's name.
        make: is given an empty folder. What it leaves there is kept, unless it raises.

    Raises:
        OSError: the cache cannot be written.
    """
    kept = root() / f"{kind}-{key(inputs)}"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with _alone(kept.with_suffix(".lock")):
        if not kept.is_dir():
            _make(kept, make)
    return kept


def _make(kept: Path, make: Callable[[Path], object]) -> None:
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=kept.parent))
    try:
        make(draft)
        draft.rename(kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
