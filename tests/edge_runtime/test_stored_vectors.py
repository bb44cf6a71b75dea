"""int8 vectors on the card: what is read of them, and what becomes of a file that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from build_tools import loose, places
from edge_runtime import stored_vectors
from edge_runtime.errors import BundleError
from edge_runtime.manifest import IndexSpec
from edge_runtime.stored_vectors import StoredVectors

N, NDIM = 5000, 70
STORED = np.random.default_rng(0).integers(-127, 128, (N, NDIM)).astype(np.int8)
ORDER = np.random.default_rng(1).permutation(N)
SPEC = IndexSpec(
    path="dense",
    search="pq",
    metric="cos",
    dtype="i8",
    ndim=NDIM,
    count=N,
    scale=300.0,
    expansion=64,
    writer={},
)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[StoredVectors]:
    """Of `STORED` in `ORDER`."""
    (tmp_path / "dense").mkdir()
    places.write(ORDER, tmp_path / "dense")
    places.write_vectors(STORED, ORDER, tmp_path / "dense")
    bundle = loose.bundle(tmp_path)
    yield StoredVectors(bundle, SPEC)
    bundle.close()


def test_by_row(stored: StoredVectors) -> None:
    """Any, in any order, more than once; the copy is the caller's to change."""
    rows = np.array([4999, 0, 17, 0])
    found = stored.vectors(rows)
    assert np.array_equal(found, STORED[rows])
    found[:] = 0
    assert stored.vectors(rows[:0]).shape == (0, NDIM)


@pytest.mark.parametrize("count", [1, 10, N, N + 1])
def test_the_nearest_of_some_places(stored: StoredVectors, count: int) -> None:
    """More than are read at a time, by cosine."""
    unit = stored_vectors.unit(STORED[3])
    cosines = STORED @ unit / np.linalg.norm(STORED.astype(np.float32), axis=1)
    found = stored.nearest(np.arange(N), unit, count)
    assert found.scores == pytest.approx(np.sort(cosines)[::-1][:count], abs=1e-5)
    assert cosines[found.rows] == pytest.approx(found.scores, abs=1e-5)
    assert found.rows[0] == 3


def test_what_is_read_is_not_mapped(stored: StoredVectors, tmp_path: Path) -> None:
    """However many are: nothing of the file counts as this process' memory."""
    stored.nearest(np.arange(N), stored_vectors.unit(STORED[0]), 10)
    path = str((tmp_path / "dense/vectors.npy").resolve())
    smaps = Path("/proc/self/smaps").read_text().split(path)[1]
    resident = next(line for line in smaps.splitlines() if line.startswith("Rss:"))
    assert int(resident.split()[1]) <= 64  # kB around its header, which was looked at


def test_a_file_that_became_shorter(stored: StoredVectors, tmp_path: Path) -> None:
    """By somebody else's hand while it was open: one line, and nothing beyond the end is touched."""
    os.truncate(tmp_path / "dense/vectors.npy", 1000)
    with pytest.raises(BundleError, match=r"vectors\.npy: ends early; copy the bundle again"):
        stored.vectors(np.arange(N))


def test_a_card_that_fails(stored: StoredVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of it is passed on."""

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(BundleError, match=r"vectors\.npy: cannot be read \(Input/output error\)"):
        stored.vectors(np.arange(3))
