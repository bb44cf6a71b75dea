"""The files of an index of two stages, and what they say of the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from usearch.index import Index

from build_tools import two_stage
from build_tools.errors import BuildError
from build_tools.recipe import IndexSpec
from edge_runtime.manifest import TWO_STAGE_FILES

NDIM = 70


def stretched(count: int, seed: int = 0) -> NDArray[np.int8]:
    """int8 vectors that reach far in a few directions, which are none of the axes."""
    chance = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((NDIM, NDIM)))[0]
    vectors = (chance.standard_normal((count, NDIM)) * 0.9 ** np.arange(NDIM)) @ turn.T
    return np.clip(np.rint(vectors * 30), -127, 127).astype(np.int8)


def test_files(tmp_path: Path) -> None:
    """Vectors and graph are in one order, which two files translate."""
    codes, told = stretched(1500), list[int]()
    two_stage.write(codes, tmp_path, spec=IndexSpec(axes=20), advance=told.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(TWO_STAGE_FILES)
    found = {path.stem: np.load(path) for path in tmp_path.glob("*.npy")}
    assert sum(told) == 1500
    assert np.array_equal(found["vectors"], codes[found["rows"]])
    assert np.array_equal(found["places"][found["rows"]], np.arange(1500))
    graph: Any = Index.restore(str(tmp_path / "graph.usearch"))
    units = codes / np.linalg.norm(codes.astype(np.float64), axis=1, keepdims=True)
    for place in (0, 700, 1499):
        expected = units[found["rows"][place]] @ found["axes"]
        stored = graph.get(np.array([place], np.uint64))[0]
        assert np.abs(stored).max() == 127
        assert stored == pytest.approx(expected * 127 / np.abs(expected).max(), abs=0.6)


def test_axes_are_principal() -> None:
    """Orthonormal, the farthest reaching first: together as far as any so many can."""
    codes = stretched(1500)
    axes = two_stage.principal_axes(codes, 20)
    assert axes.T @ axes == pytest.approx(np.eye(20), abs=1e-5)
    units = codes / np.linalg.norm(codes.astype(np.float64), axis=1, keepdims=True)
    reach = ((units @ axes) ** 2).sum(axis=0)
    singular = np.linalg.svd(units, compute_uv=False)[:20] ** 2
    assert reach == pytest.approx(singular, rel=1e-3)


def test_how_many_axes() -> None:
    """A third, up to the next multiple of 32, never more than there are."""
    assert [two_stage.default_axes(ndim) for ndim in (16, 96, 97, 384, 768, 1024)] == [
        16,
        32,
        64,
        128,
        256,
        352,
    ]


@pytest.mark.parametrize("axes", [None, 70, 999])
def test_few_vectors(tmp_path: Path, axes: int | None) -> None:
    """Fewer than axes; one of them has no length."""
    codes = stretched(3)
    codes[1] = 0
    two_stage.write(codes, tmp_path, spec=IndexSpec(axes=axes), advance=lambda _: None)
    assert np.load(tmp_path / "axes.npy").shape == (NDIM, min(axes or 32, NDIM))
    assert np.isfinite(np.load(tmp_path / "axes.npy")).all()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "dense").write_bytes(b"")
    with pytest.raises(BuildError, match="dense: cannot be written"):
        two_stage.write(stretched(10), tmp_path / "dense", spec=IndexSpec(), advance=lambda _: None)
