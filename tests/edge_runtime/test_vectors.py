"""Vectors read where they lie in a usearch file, or asked for where they lie in another order."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest
from numpy.typing import NDArray

from edge_runtime.usearch_index import viewed
from edge_runtime.vectors import Vectors

STORED = np.random.default_rng(1).integers(-127, 128, (300, 24)).astype(np.int8)


def saved(order: NDArray[np.int64], threads: int = 1) -> memoryview:
    """A file of an index to which row after row was added in this order."""
    from usearch.index import Index

    index: Any = Index(ndim=24, metric="cos", dtype="i8")
    index.add(order.astype(np.uint64), STORED[order], threads=threads)
    return memoryview(bytes(index.save()))


def vectors_of(view: memoryview, first: memoryview | None = None) -> Vectors:
    """Those of the file; `first` is what is read in place, where that is another."""
    return Vectors.of(first or view, viewed(view), lambda: viewed(view, keys=True))


@pytest.mark.parametrize("rows", [[], [0], [299], [5, 3, 3, 100], list(range(300))])
def test_rows(rows: list[int]) -> None:
    """In the order asked for, as a copy."""
    found = vectors_of(saved(np.arange(300))).rows(np.array(rows, np.int64))
    assert np.array_equal(found, STORED[rows])
    assert found.base is None


def test_rows_in_another_order() -> None:
    """The file's order is noticed not to be that of the rows, and each is asked for by its key."""
    found = vectors_of(saved(np.random.default_rng(2).permutation(300)))
    rows = np.array([7, 299, 0], np.int64)
    assert found.matrix is None
    assert np.array_equal(found.rows(rows), STORED[rows])


def test_a_row_that_is_missing() -> None:
    """No vector of another row is given for it."""
    vectors = vectors_of(saved(np.arange(1, 300)))
    assert np.array_equal(vectors.rows(np.array([1, 299])), STORED[[1, 299]])
    with pytest.raises(KeyError, match="a row without a vector"):
        vectors.rows(np.array([0]))


def test_another_layout_is_not_read() -> None:
    """A file that does not begin as expected is asked by key."""
    view = saved(np.arange(300))
    rows = np.array([4, 200], np.int64)
    for start in (0, 8 + 300 * 24):
        spoiled = bytearray(view)
        spoiled[start] ^= 0xFF
        assert np.array_equal(vectors_of(view, memoryview(spoiled)).rows(rows), STORED[rows])


def test_no_table_of_keys_where_the_graph_tells() -> None:
    """An index that knows its keys is not even opened."""
    view = saved(np.arange(300))
    vectors = Vectors.of(view, viewed(view), lambda: pytest.fail("opened"))
    assert vectors.matrix is not None


def test_equal_vectors_lie_in_each_others_place() -> None:
    """The graph leads to any of them."""
    from usearch.index import Index

    index: Any = Index(ndim=24, metric="cos", dtype="i8")
    index.add(np.arange(300, dtype=np.uint64), np.repeat(STORED[:3], 100, axis=0), threads=1)
    view = memoryview(bytes(index.save()))
    assert Vectors.of(view, viewed(view), lambda: pytest.fail("opened")).matrix is not None


def test_keys_are_forgotten_again() -> None:
    """Where the graph does not lead to a vector its key is asked, and the index that knew it is gone then."""
    made: list[weakref.ref[Any]] = []

    def open_index() -> Any:
        index = viewed(view, keys=True)
        made.append(weakref.ref(index))
        return index

    class Lost:
        """A graph that leads nowhere."""

        ndim = 24

        def __len__(self) -> int:
            return 300

        def search(self, *_: object, **__: object) -> Any:
            return SimpleNamespace(keys=np.empty(0, np.uint64))

    view = saved(np.arange(300))
    vectors = Vectors.of(view, Lost(), open_index)
    assert vectors.matrix is not None
    assert [index() for index in made] == [None]


def test_a_search_needs_no_keys() -> None:
    """It finds the same without, exactly and along the graph."""
    view = saved(np.random.default_rng(3).permutation(300))
    with_keys, without = viewed(view, keys=True), viewed(view)
    for exact in (True, False):
        for query in STORED[:20]:
            one, other = (each.search(query, 7, exact=exact, threads=1) for each in (with_keys, without))
            assert one.keys.tolist() == other.keys.tolist()
            assert one.distances.tolist() == other.distances.tolist()
