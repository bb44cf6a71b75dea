"""Long computations over a stream, in shards that are kept: an interrupted one goes on where it was.

Used for whatever costs hours and is the same every time: a teacher's vectors, a cross-encoder's scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from build_tools.errors import BuildError
from build_tools.workspace import new_array, write_atomically

SHARD = 512
"""Items in a shard: at most some minutes of work to lose, with a large model on a slow machine. Batches are
sorted by length within a shard, so that much smaller ones would be padded more."""

T = TypeVar("T")

Shard = tuple[int, Sequence[T]]
"""Its number, from 0, and up to `SHARD` items."""

Computed = tuple[int, NDArray[np.float32]]
"""A shard's number, and a row for each of its items."""

Spread = Callable[[Iterator[Shard[T]]], Iterator[Computed]]
"""Computes shards, in any order, here or elsewhere."""


def one_by_one(function: Callable[[Sequence[T]], NDArray[np.float32]]) -> Spread[T]:
    """Computes each shard by a call of `function`, (n items) to an array of n rows."""
    return lambda shards: ((number, function(items)) for number, items in shards)


def compute(
    items: Iterable[T],
    count: int,
    target: Path,
    *,
    spread: Spread[T],
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """What `spread` computes of a stream of `count` items, as a read-only mapped float32 array (count, …).

    Finished shards are kept beside `target`; a second call with the same items computes only the rest.

    Args:
        target: the .npy file that holds the result in the end.
        spread: see `one_by_one`.
        advance: told how many more items are done.

    Raises:
        BuildError: the stream holds more or fewer items than `count`, or none.
    """
    if not target.exists():
        missing = _Missing(iter(items), target.parent, advance)
        for number, rows in spread(iter(missing)):
            write_atomically(_path(target.parent, number), partial(np.save, arr=rows))
            advance(len(rows))
        if missing.found != count or not count:
            problem = f"expected {count} items to compute; found {missing.found}"
            raise BuildError(f"{target.parent}: {problem}; delete it and run again")
        _join_shards(count, target)
    values: NDArray[np.float32] = np.load(target, mmap_mode="r")
    return values


class _Missing(Generic[T]):
    """The shards of a stream that no file has yet; `found` items were in all of them so far."""

    def __init__(self, items: Iterator[T], directory: Path, advance: Callable[[int], None]) -> None:
        self._items, self._directory, self._advance = items, directory, advance
        self.found = 0

    def __iter__(self) -> Iterator[Shard[T]]:
        while shard := list(islice(self._items, SHARD)):
            number = self.found // SHARD
            self.found += len(shard)
            if _path(self._directory, number).exists():
                self._advance(len(shard))
            else:
                yield number, shard


def _join_shards(count: int, target: Path) -> None:
    paths = [_path(target.parent, number) for number in range(math.ceil(count / SHARD))]
    shape = (count, *np.load(paths[0], mmap_mode="r").shape[1:])
    unfinished = target.with_suffix(".part")
    joined = new_array(unfinished, np.float32, shape)
    for number, path in enumerate(paths):
        joined[number * SHARD : (number + 1) * SHARD] = np.load(path)
    joined.flush()
    del joined
    unfinished.replace(target)
    for path in paths:
        path.unlink()


def _path(directory: Path, number: int) -> Path:
    # Its size is in the name: one that a version with other sizes left behind is not taken for one of ours.
    return directory / f"shard-{SHARD}-{number:06d}.npy"
