"""Vectors read where they lie in a usearch file, or asked for where they lie in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from numpy.typing import NDArray

from edge_runtime.vectors import Vectors

STORED = np.random.default_rng(1).integers(-127, 128, (300, 24)).astype(np.int8)


def saved(order: NDArray[np.int64], threads: int = 1) -> tuple[Any, memoryview]:
    """An index to which row after row was added in this order, viewed."""
    from usearch.index import Index

    index: Any = Index(ndim=24, metric="cos", dtype="i8")
    index.add(order.astype(np.uint64), STORED[order], threads=threads)
    view = memoryview(bytes(index.save()))
    return Index.restore(view, view=True), view


@pytest.mark.parametrize("rows", [[], [0], [299], [5, 3, 3, 100], list(range(300))])
def test_rows(rows: list[int]) -> None:
    """In the order asked for, as a copy."""
    index, view = saved(np.arange(300))
    found = Vectors.of(index, view).rows(np.array(rows, np.int64))
    assert np.array_equal(found, STORED[rows])
    assert found.base is None


def test_rows_in_another_order() -> None:
    """The file's order is noticed not to be that of the rows, and each is asked for by its key."""
    index, view = saved(np.random.default_rng(2).permutation(300))
    rows = np.array([7, 299, 0], np.int64)
    assert np.array_equal(Vectors.of(index, view).rows(rows), STORED[rows])


def test_a_row_that_is_missing() -> None:
    """No vector of another row is given for it."""
    index, view = saved(np.arange(1, 300))
    vectors = Vectors.of(index, view)
    assert np.array_equal(vectors.rows(np.array([1, 299])), STORED[[1, 299]])
    with pytest.raises(KeyError, match="a row without a vector"):
        vectors.rows(np.array([0]))


def test_another_layout_is_not_read() -> None:
    """A file that does not begin as expected is asked by key."""
    index, view = saved(np.arange(300))
    rows = np.array([4, 200], np.int64)
    for start in (0, 8 + 300 * 24):
        spoiled = bytearray(view)
        spoiled[start] ^= 0xFF
        assert np.array_equal(Vectors.of(index, memoryview(spoiled)).rows(rows), STORED[rows])
