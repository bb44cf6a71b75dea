"""The int8 vectors inside a usearch file, by row.

usearch writes them first: count and dimensions as uint32, then the vectors in the order in which they were
added, which is the order of the rows for a writer that adds them one after the other. Read there, 5,000
vectors of 384 dimensions took 0.2 ms on an x86-64 machine; asked for by key they took 8 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 8
_MAGIC = b"usearch"
_FEW, _SAMPLE = 8, 64
_NOISE = 1e-3  # of a cosine, computed in two ways


class Vectors:
    """The vectors of a usearch file. It holds the view, which can be released once this is gone."""

    def __init__(self, found: Any) -> None:
        """`found` is an index that knows its keys, or the matrix of `matrix`."""
        self._found = found

    @classmethod
    def of(cls, view: memoryview, index: Any, open_index: Callable[[], Any]) -> Vectors:
        """The vectors of a usearch file, in place where they lie in the order of the rows.

        That is judged by what the graph finds for a few of them: a writer of several threads leaves next to
        none in its place. Where that is not as far away as the graph tells, by more of them and their keys.

        Args:
            view: the file's bytes.
            index: one over them, which need not know its keys.
            open_index: makes an index over them that knows its keys: of 100,000 a table of 4 MB.
        """
        matrix = _matrix(view, index)
        if matrix is not None and _found_in_place(index, matrix):
            return cls(matrix)
        by_key = open_index()
        if matrix is not None and _kept_in_place(by_key, matrix):
            return cls(matrix)
        return cls(by_key)

    @property
    def matrix(self) -> NDArray[np.int8] | None:
        """All of them in place, int8 (count, ndim); None where they do not lie in the order of the rows."""
        return self._found if isinstance(self._found, np.ndarray) else None

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """A copy of the vectors of these rows, int8 (rows, ndim).

        Raises:
            KeyError: the index has no vector of a row.
        """
        if self.matrix is not None:
            return self.matrix[rows]
        found = _by_key(self._found, rows)
        if any(one is None for one in found):
            raise KeyError("a row without a vector")
        return np.stack(found)


def _matrix(view: memoryview, index: Any) -> NDArray[np.int8] | None:
    """The vectors in the order in which they lie; None where the file does not begin as expected."""
    count, ndim = len(index), int(index.ndim)
    end = _HEADER + count * ndim
    if np.frombuffer(view, "<u4", 2).tolist() != [count, ndim] or view[end:][: len(_MAGIC)] != _MAGIC:
        return None
    return np.frombuffer(view, np.int8, count * ndim, _HEADER).reshape(count, ndim)


def _found_in_place(index: Any, matrix: NDArray[np.int8]) -> bool:
    """Whether what the graph finds for some vectors lies where its keys say: as far away as it tells."""
    for query in matrix[_spread(len(matrix), _FEW)]:
        found = index.search(query, 1, threads=1)
        if len(found.keys) != 1 or found.keys[0] >= len(matrix):
            return False
        one, other = query.astype(np.float32), matrix[int(found.keys[0])].astype(np.float32)
        cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1)
        if abs(1 - found.distances[0] - cosine) > _NOISE:
            return False
    return True


def _kept_in_place(index: Any, matrix: NDArray[np.int8]) -> bool:
    """Whether vectors lie where their keys say; `index` knows its keys."""
    sample = _spread(len(matrix), _SAMPLE)
    return all(
        one is not None and np.array_equal(one, matrix[row])
        for row, one in zip(sample, _by_key(index, sample), strict=True)
    )


def _spread(count: int, some: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, some).astype(np.int64))


def _by_key(index: Any, rows: NDArray[np.int64]) -> tuple[Any, ...]:
    """One int8 (ndim,) a row, None where there is none."""
    found: tuple[Any, ...] = index.get(rows.astype(np.uint64))
    return found
