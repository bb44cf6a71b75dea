"""The recall of a real index at several expansions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_runtime
from build_tools.corpus.document import Passage
from build_tools.documents import read
from build_tools.report import index_recall
from edge_runtime.bundle import Bundle


@pytest.fixture
def opened(bundle: Path) -> Iterator[Bundle]:
    """The tiny bundle."""
    whole = Bundle.open(bundle)
    yield whole
    whole.close()


@pytest.fixture
def vectors(bundle: Path) -> NDArray[np.float32]:
    """Unit vectors of its passages by its own encoder, in row order."""
    passages: list[Passage] = list(read(bundle))
    with edge_runtime.open(bundle) as retriever:
        return retriever.encode([passage.text for passage in passages])


def test_without_float_vectors(opened: Bundle, vectors: NDArray[np.float32]) -> None:
    """Exact search of the index counts as right, so it is perfect itself."""
    found = index_recall.measure(opened, vectors[:20], None)
    count = opened.manifest.index.count
    expected = sorted({min(expansion, count) for expansion in (*index_recall.EFFORTS, 96)})
    assert [point.effort for point in found.points] == expected
    assert expected[-1] == count
    assert (found.against, found.texts, found.exact.effort, found.exact.recall) == ("int8", 20, None, 1.0)
    assert found.points[-1].recall == 1.0  # as many candidates as there are vectors
    assert all(0 <= point.recall <= 1 for point in found.points)
    assert all(point.milliseconds > 0 for point in (*found.points, found.exact))
    assert (found.search, found.shipped) == ("exact", min(96, count))


def test_against_float_vectors(opened: Bundle, vectors: NDArray[np.float32]) -> None:
    """Those of other texts in these rows: hardly anything that the index finds is right."""
    right = index_recall.measure(opened, vectors[:20], vectors)
    assert right.against == "float32"
    wrong = index_recall.measure(opened, vectors[:20], -vectors)
    assert wrong.exact.recall < right.exact.recall


def test_a_bundle_that_searches_its_graph(opened: Bundle, vectors: NDArray[np.float32]) -> None:
    """Its own expansion is among the points."""
    manifest = opened.manifest
    graph = replace(manifest, index=replace(manifest.index, search="hnsw", expansion=20))
    found = index_recall.measure(Bundle(opened.root, graph), vectors[:5], None)
    assert (found.search, found.shipped) == ("hnsw", 20)
    assert 20 in [point.effort for point in found.points]
