"""Exact search of what a filter allows, in an order of its own or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest

from build_tools import loose
from build_tools import places as written
from edge_runtime.allowed import Allowed
from edge_runtime.allowed_scan import AllowedScan
from edge_runtime.errors import BundleError
from edge_runtime.exact_scan import ExactScan, Pieces
from edge_runtime.manifest import IndexSpec
from edge_runtime.places import Places

N = 900
VECTORS = np.random.default_rng(0).integers(-127, 128, (N, 24)).astype(np.int8)
ORDER = np.random.default_rng(1).permutation(N)
SPEC = IndexSpec("dense", "hnsw", "cos", "i8", 24, N, 260.0, 64, {"usearch": "2.26.1"})


def only(mask: np.ndarray) -> Allowed:
    return Allowed(mask, int(mask.sum()), int(mask.sum()))


def ordered(folder: Path) -> AllowedScan:
    """One whose vectors lie in `ORDER`."""
    (folder / "dense").mkdir()
    written.write(ORDER, folder / "dense")
    return AllowedScan(ExactScan(VECTORS[ORDER]), Places(loose.bundle(folder), SPEC))


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 1])
def test_an_order_of_its_own_changes_nothing(tmp_path: Path, share: float) -> None:
    """Rows are told, not places."""
    mask = np.random.default_rng(2).random(N) < share
    plain, other = AllowedScan(ExactScan(VECTORS), None), ordered(tmp_path)
    for query in VECTORS[:20]:
        for allowed in (None, only(mask)):
            one, two = (each.nearest(query, 5, allowed) for each in (plain, other))
            assert one.rows.tolist() == two.rows.tolist()
            assert one.scores.tolist() == two.scores.tolist()
            assert allowed is None or mask[one.rows].all()


def test_what_to_compare_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the last filter, and not taken for another's."""
    made: list[int] = []
    of = Pieces.of
    monkeypatch.setattr(Pieces, "of", lambda rows: made.append(len(rows)) or of(rows))
    scan = AllowedScan(ExactScan(VECTORS), None)
    first, second = only(np.arange(N) < 10), only(np.arange(N) >= 890)
    assert scan.nearest(VECTORS[3], 1, first).rows.tolist() == [3]
    assert scan.nearest(VECTORS[4], 1, first).rows.tolist() == [4]
    assert scan.cost(first) <= 40
    assert made == [10]
    assert scan.nearest(VECTORS[895], 1, second).rows.tolist() == [895]
    assert made == [10, 10]


def test_rows_beyond_the_index(tmp_path: Path) -> None:
    """A file that names one is an error, not a wrong answer."""
    (tmp_path / "dense").mkdir()
    written.write(ORDER, tmp_path / "dense")
    rows = np.load(tmp_path / "dense/rows.npy")
    rows[5] = N
    np.save(tmp_path / "dense/rows.npy", rows)
    scan = AllowedScan(ExactScan(VECTORS), Places(loose.bundle(tmp_path), SPEC))
    with pytest.raises(BundleError, match=r"rows\.npy: names one beyond the 900"):
        scan.nearest(VECTORS[0], 1, only(np.ones(N, np.bool_)))
