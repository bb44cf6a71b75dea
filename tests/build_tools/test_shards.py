"""Long computations that survive an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import shards
from build_tools.errors import BuildError

ITEMS = list(range(25))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten items a shard, so that a test needs few."""
    monkeypatch.setattr(shards, "SHARD", 10)


def nothing(_: int) -> None:
    """Reports to nobody."""


def squares(items: Sequence[int]) -> NDArray[np.float32]:
    """One number an item."""
    return np.array(items, np.float32) ** 2


class Recorder:
    """A function that remembers what it was given and can be told to fail."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls: list[list[int]] = []
        self._fail_at = fail_at

    def __call__(self, items: Sequence[int]) -> NDArray[np.float32]:
        if len(self.calls) == self._fail_at:
            raise KeyboardInterrupt
        self.calls.append(list(items))
        return squares(items)


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_interrupted_after_any_shard(tmp_path: Path, stop: int) -> None:
    """The second call computes the rest only, and tells of all items as done."""
    target = tmp_path / "values.npy"
    with pytest.raises(KeyboardInterrupt):
        shards.compute(ITEMS, 25, target, spread=shards.one_by_one(Recorder(stop)), advance=nothing)
    second = Recorder()
    told: list[int] = []
    values = shards.compute(iter(ITEMS), 25, target, spread=shards.one_by_one(second), advance=told.append)
    assert second.calls == [ITEMS[0:10], ITEMS[10:20], ITEMS[20:25]][stop:]
    assert told == [10, 10, 5]
    assert np.array_equal(values, squares(ITEMS))
    assert [path.name for path in tmp_path.iterdir()] == ["values.npy"]


def test_shards_of_another_size_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with larger shards was interrupted here: its first one holds other items than ours."""
    target = tmp_path / "values.npy"
    with pytest.raises(KeyboardInterrupt):
        shards.compute(ITEMS, 25, target, spread=shards.one_by_one(Recorder(1)), advance=nothing)
    monkeypatch.setattr(shards, "SHARD", 5)
    values = shards.compute(ITEMS, 25, target, spread=shards.one_by_one(squares), advance=nothing)
    assert np.array_equal(values, squares(ITEMS))


def test_finished_is_only_read(tmp_path: Path) -> None:
    """The function is not called again, and nobody can change what is kept."""
    target = tmp_path / "values.npy"
    shards.compute(ITEMS, 25, target, spread=shards.one_by_one(squares), advance=nothing)
    third = Recorder()
    values = shards.compute(ITEMS, 25, target, spread=shards.one_by_one(third), advance=nothing)
    assert third.calls == []
    assert not values.flags.writeable


def test_rows_of_any_shape(tmp_path: Path) -> None:
    """An item may give a vector or a matrix."""

    def tables(items: Sequence[int]) -> NDArray[np.float32]:
        return np.array(items, np.float32)[:, None, None] * np.ones((2, 3), np.float32)

    values = shards.compute(
        ITEMS, 25, tmp_path / "tables.npy", spread=shards.one_by_one(tables), advance=nothing
    )
    assert values.shape == (25, 2, 3)
    assert np.array_equal(values[:, 1, 2], np.array(ITEMS, np.float32))


@pytest.mark.parametrize(("count", "found"), [(24, 25), (26, 25), (0, 0)])
def test_another_number_than_announced(tmp_path: Path, count: int, found: int) -> None:
    """Items and result would no longer belong together."""
    with pytest.raises(BuildError, match=f"expected {count} items to compute; found {found}; delete it"):
        shards.compute(
            ITEMS[:found], count, tmp_path / "values.npy", spread=shards.one_by_one(squares), advance=nothing
        )
