"""Long computations over a stream, in shards that are kept: an interrupted one goes on where it was.

Used for whatever costs hours and is the same every time: a teacher's vectors, a cross-encoder's scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from build_tools.errors import BuildError
from build_tools.workspace import write_atomically

SHARD = 1024
"""Items in a shard: a minute or two of work to lose."""

T = TypeVar("T")


def compute(
    items: Iterable[T],
    count: int,
    target: Path,
    *,
    function: Callable[[Sequence[T]], NDArray[np.float32]],
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """What `function` gives for a stream of `count` items, as a read-only mapped float32 array (count, …).

    Finished shards are kept beside `target`; a second call with the same items computes only the rest.

    Args:
        target: the .npy file that holds the result in the end.
        function: (n items) to an array of n rows; called with a shard at a time.
        advance: told how many more items are done.

    Raises:
        BuildError: the stream holds more or fewer items than `count`, or none.
    """
    if not target.exists():
        found = _write_shards(iter(items), target.parent, function, advance)
        if found != count or not count:
            raise BuildError(
                f"{target.parent}: expected {count} items to compute; found {found}; delete it and run again"
            )
        _join_shards(count, target)
    values: NDArray[np.float32] = np.load(target, mmap_mode="r")
    return values


def _write_shards(
    items: Iterator[T],
    directory: Path,
    function: Callable[[Sequence[T]], NDArray[np.float32]],
    advance: Callable[[int], None],
) -> int:
    """Writes the shards that are missing and returns how many items there were."""
    found = 0
    while shard := list(islice(items, SHARD)):
        path = _path(directory, found // SHARD)
        if not path.exists():
            values = function(shard)
            write_atomically(path, partial(np.save, arr=values))
        advance(len(shard))
        found += len(shard)
    return found


def _join_shards(count: int, target: Path) -> None:
    paths = [_path(target.parent, number) for number in range(math.ceil(count / SHARD))]
    shape = (count, *np.load(paths[0], mmap_mode="r").shape[1:])
    unfinished = target.with_suffix(".part")
    joined = np.lib.format.open_memmap(unfinished, "w+", np.float32, shape)
    for number, path in enumerate(paths):
        joined[number * SHARD : (number + 1) * SHARD] = np.load(path)
    joined.flush()
    del joined
    unfinished.replace(target)
    for path in paths:
        path.unlink()


def _path(directory: Path, number: int) -> Path:
    return directory / f"shard-{number:06d}.npy"
