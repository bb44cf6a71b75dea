"""Graphs of vectors as they come, and in an order of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from usearch.index import Index

from build_tools import graph
from build_tools.errors import BuildError
from build_tools.recipe import IndexSpec
from edge_runtime.manifest import GRAPH_FILES

CODES = np.random.default_rng(4).integers(-127, 128, (1500, 24)).astype(np.int8)
SPEC = IndexSpec(connectivity=5, expansion_add=40)


def test_as_they_come(tmp_path: Path) -> None:
    """Each under its number, block by block."""
    told: list[int] = []
    graph.write((CODES[:1000], CODES[1000:]), tmp_path / "a.usearch", spec=SPEC, advance=told.append)
    found: Any = Index.restore(str(tmp_path / "a.usearch"))
    assert told == [1000, 500]
    assert (len(found), found.connectivity, found.dtype.name) == (1500, 5, "I8")
    assert np.array_equal(np.stack(found.get(np.arange(1500, dtype=np.uint64))), CODES)


def test_in_an_order_of_their_own(tmp_path: Path) -> None:
    """Under their places, from which two files lead to the rows and back."""
    graph.write_in_order(CODES, tmp_path / "dense", spec=SPEC, advance=lambda _: None)
    assert {path.name for path in (tmp_path / "dense").iterdir()} == {*GRAPH_FILES}
    rows, places = (np.load(tmp_path / "dense" / f"{name}.npy") for name in ("rows", "places"))
    assert np.array_equal(places[rows], np.arange(1500))
    assert not np.array_equal(rows, np.arange(1500))
    found: Any = Index.restore(str(tmp_path / "dense/graph.usearch"))
    assert np.array_equal(np.stack(found.get(places.astype(np.uint64))), CODES)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """usearch's error becomes one of ours, and so does a file's where the folder should be."""
    with pytest.raises(BuildError, match=r"a\.usearch: cannot be written"):
        graph.write([CODES], tmp_path / "no/a.usearch", spec=SPEC, advance=lambda _: None)
    (tmp_path / "dense").write_bytes(b"")
    with pytest.raises(BuildError, match="dense: cannot be written"):
        graph.write_in_order(CODES, tmp_path / "dense", spec=SPEC, advance=lambda _: None)
