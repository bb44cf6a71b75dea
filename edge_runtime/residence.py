"""Keeps mapped files from filling a process' memory page by page.

Pages of a mapping count as the process' own until somebody gives them back. The system can take them when
memory is short, but until then every search maps some more. Given back, they stay in the system's cache: to
touch one again costs about a microsecond, not a read from the card.

Two kinds of pages are given back: those of a large file once many were touched (`Residence`); and, when all
is loaded, those that loading has touched of libraries and models (`give_back`). To load an engine resolves
its symbols, registers its operators and packs its weights; of the pages that are resident then, searches
touch less than half again. The others are the first that the system can drop.
"""

from __future__ import annotations

import mmap
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MOST_BYTES = 16_000_000
"""Of a file, touched between two times of giving back."""

TABLE_BYTES = 4_000_000
"""The same of a table of tokens, of which a query touches a megabyte for some kilobytes that it reads."""

MAPPING = threading.Lock()
"""Held while an engine maps a model: what has come since `mapped` is that engine's then."""

os.register_at_fork(after_in_child=MAPPING._at_fork_reinit)  # type: ignore[attr-defined]

AROUND = 65_536
"""Bytes that Linux maps around a page that is touched (fault_around_bytes), where they are in its cache."""


class Residence:
    """How much of a mapped file was touched. Threads may share one: a lost count does no harm."""

    def __init__(self, size: int, release: Callable[[], object], *, most: int = MOST_BYTES) -> None:
        """`size` is the file's in bytes; `release` gives all its pages back after `most` bytes."""
        self._release = release if size > most else None
        self._most = most
        self._touched = 0

    @classmethod
    def of_table(cls, path: Path, *, known: Collection[int] = ()) -> Residence:
        """That of a model which an engine has mapped, and of which only rows of its table are still read.

        To be touched only as long as the engine holds the model: later its addresses are somebody's memory.

        Args:
            known: what `mapped` gave before; mappings of others, which may end sooner than this engine's.
        """
        clean, advise = _clean(lambda each: each.path == str(path.resolve()) and each.start not in known)

        def release() -> None:
            for each in clean:
                advise(each.start, each.size)

        return cls(sum(each.size for each in clean), release, most=TABLE_BYTES)

    def touch(self, size: int) -> None:
        """Counts bytes that a search has read; gives all pages back when there were too many."""
        if self._release is None:
            return
        self._touched += size
        if self._touched > self._most:
            self._touched = 0
            self._release()


NOTHING_MAPPED = Residence(0, lambda: None)
"""Of what the process has in memory of its own, if at all."""

PACKAGES = frozenset(
    (
        "numpy",
        "tokenizers",
        "usearch",
        "numkong",
        "faiss",
        "faiss_cpu",
        "onnxruntime",
        "ai_edge_litert",
        "tflite_runtime",
    )
)
"""Whose libraries are given back, beside Python's own. Those of the program around us are its own affair."""

_READ_ONLY = re.compile(r"^(\w+)-(\w+) r-\S+ +\S+ +\S+ +\d+ +(/.*)$", re.MULTILINE)

_ENTRY_BYTES = 8  # of a page in pagemap
_ABSENT, _OF_FILE = 0b000, 0b101
"""Its three highest bits: present, swapped, of a file."""


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Addresses at which a part of a file is mapped."""

    start: int
    end: int
    path: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


def give_back(models: Sequence[Path] = (), *, proc: Path = Path("/proc/self")) -> int:
    """Gives back the pages of our libraries, and of these files.

    Only what cannot be lost: pages of mappings that cannot be written to, none of which the process has a
    copy of its own of. Where the system does not tell, nothing is done. Formats: proc_pid_maps(5),
    proc_pid_pagemap(5).

    Args:
        models: files that an engine has mapped and made its own form of.
        proc: this process' directory in /proc.

    Returns:
        Bytes of the mappings that were given back, touched or not.
    """
    wanted = {str(path.resolve()) for path in models}
    clean, advise = _clean(lambda each: each.path in wanted or _is_ours(each.path), proc)
    for each in clean:
        advise(each.start, each.size)
    return sum(each.size for each in clean)


def mapped(path: Path, *, proc: Path = Path("/proc/self")) -> frozenset[int]:
    """Addresses at which the process has mapped a file so far; none where the system does not tell."""
    wanted = str(path.resolve())
    return frozenset(each.start for each in _clean(lambda each: each.path == wanted, proc)[0])


def _clean(
    wanted: Callable[[_Mapping], bool], proc: Path = Path("/proc/self")
) -> tuple[list[_Mapping], Callable[[int, int], None]]:
    """Mappings whose pages can be given back, and what does it; none where the system does not tell."""
    try:
        advise = _madvise()
        maps = os.fsdecode((proc / "maps").read_bytes())  # names of files are any bytes
        found = [each for each in _mappings(maps) if wanted(each)]
        with (proc / "pagemap").open("rb", buffering=0) as pages:
            return [each for each in found if _has_no_copies(pages.fileno(), each)], advise
    except (OSError, AttributeError):  # no such files, or no such function
        return [], lambda start, size: None


def _mappings(maps: str) -> Iterator[_Mapping]:
    """Those of files that can be read and not written to."""
    for start, end, path in _READ_ONLY.findall(maps):
        yield _Mapping(int(start, 16), int(end, 16), path)


def _is_ours(path: str) -> bool:
    *folders, name = path.split("/")
    if name.startswith(("libpython", "python3")):
        return True
    return any(folder.removesuffix(".libs") in PACKAGES for folder in folders)


def _has_no_copies(pagemap: int, mapping: _Mapping) -> bool:
    """Whether all its pages are the file's. The loader relocates some before it protects them."""
    count = mapping.size // mmap.PAGESIZE
    data = os.pread(pagemap, count * _ENTRY_BYTES, mapping.start // mmap.PAGESIZE * _ENTRY_BYTES)
    states = np.frombuffer(data, np.uint8)[_ENTRY_BYTES - 1 :: _ENTRY_BYTES] >> 5  # least significant first
    return len(states) == count and not np.any((states != _ABSENT) & (states != _OF_FILE))


def _madvise() -> Callable[[int, int], None]:
    """Gives back the pages from an address on, of as many bytes."""
    import ctypes  # NumPy has loaded it

    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def advise(start: int, size: int) -> None:
        function(start, size, mmap.MADV_DONTNEED)  # refused where pages are locked: then they stay

    return advise
