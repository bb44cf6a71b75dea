"""The files of an inverted file, and what they say of the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import cells
from build_tools.errors import BuildError
from edge_runtime.manifest import IVF_FILES

NDIM = 70  # no multiple of 64


def clustered(count: int, seed: int = 0) -> NDArray[np.int8]:
    """int8 vectors around a few centres."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((8, NDIM))
    vectors = centres[chance.integers(0, 8, count)] + 0.3 * chance.standard_normal((count, NDIM))
    return np.clip(np.rint(vectors * 30), -127, 127).astype(np.int8)


def files(folder: Path) -> dict[str, NDArray[Any]]:
    """By name, without the ending."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(IVF_FILES)
    return {path.stem: np.load(path) for path in folder.iterdir()}


def test_every_vector_is_in_the_cell_of_its_nearest_centroid(tmp_path: Path) -> None:
    """Each once, cells following each other, rows rising within one."""
    codes, told = clustered(1000), []
    cells.write(codes, tmp_path, cells=16, advance=told.append)
    found = files(tmp_path)
    assert sum(told) == 1000
    assert np.array_equal(found["vectors"], codes[found["rows"]])
    assert np.array_equal(found["places"][found["rows"]], np.arange(1000))
    units = codes / np.linalg.norm(codes.astype(np.float64), axis=1, keepdims=True)
    owners = (units @ found["centroids"].T).argmax(axis=1)
    for cell, (start, end) in enumerate(zip(found["ends"][:-1], found["ends"][1:], strict=True)):
        assert found["rows"][start:end].tolist() == np.flatnonzero(owners == cell).tolist()


def test_codes_are_the_levels_of_what_the_centroid_leaves(tmp_path: Path) -> None:
    """Bit by bit, padded with zeros: the sign, then far or near; factors make a code's own product right."""
    codes = clustered(300)
    cells.write(codes, tmp_path, cells=4, advance=lambda _: None)
    found = files(tmp_path)
    owners = np.repeat(np.arange(4), np.diff(found["ends"]))
    stored = found["vectors"].astype(np.float64)
    rest = stored / np.linalg.norm(stored, axis=1, keepdims=True) - found["centroids"][owners]
    assert found["codes"].shape == (2, 300, 2)
    bits = np.unpackbits(found["codes"].view(np.uint8), axis=2, bitorder="little")
    assert not bits[:, :, NDIM:].any()
    signs, halves = 2.0 * bits[:, :, :NDIM] - 1
    sizes = np.abs(rest)
    bound = 1.2 * sizes.mean(axis=1, keepdims=True)
    certain = (sizes > 1e-6) & (np.abs(sizes - bound) > 1e-6)
    expected = np.sign(rest) * np.where(sizes > bound, 1.5, 0.5)
    assert np.array_equal((signs + halves / 2)[certain], expected[certain])
    for factors, levels in zip(found["factors"], (signs, signs + halves / 2), strict=True):
        assert factors * (levels * rest).sum(axis=1) == pytest.approx((rest**2).sum(axis=1), rel=1e-4)


@pytest.mark.parametrize(("count", "amount"), [(1, 1), (3, 3), (50, 7)])
def test_few_vectors(tmp_path: Path, count: int, amount: int) -> None:
    """As many cells as vectors, or a single one; equal vectors, and such as have no length."""
    codes = np.repeat(clustered(1), count, axis=0)
    codes[-1] = 0
    cells.write(codes, tmp_path, cells=amount, advance=lambda _: None)
    found = files(tmp_path)
    assert found["ends"][-1] == count
    assert np.isfinite(found["factors"]).all()
    assert np.isfinite(found["centroids"]).all()


def test_how_many_cells() -> None:
    """A power of two near four times the root, never more than vectors."""
    assert [cells.default_cells(count) for count in (1, 10, 1000, 100_000, 1_000_000)] == [
        1,
        10,
        128,
        1024,
        4096,
    ]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "dense").write_bytes(b"")
    with pytest.raises(BuildError, match="dense: cannot be written"):
        cells.write(clustered(10), tmp_path / "dense", cells=2, advance=lambda _: None)
