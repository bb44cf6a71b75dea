"""Document vectors from several processes, and from a Ray cluster: the same to the bit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import executors, recipe_yaml, shards
from build_tools.errors import BuildError, ModelError
from build_tools.recipe import Recipe
from build_tools.towers import Tower

TEXTS = [f"passage {number} of bread and rope" for number in range(37)]


@pytest.fixture(scope="module")
def recipe(recipe_file: Path) -> Recipe:
    """Of the tiny corpus."""
    return recipe_yaml.load(recipe_file)


@pytest.fixture(scope="module")
def tower(recipe: Recipe) -> Tower:
    """Its teacher."""
    return Tower.load(recipe.teacher)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five items a shard."""
    monkeypatch.setattr(shards, "SHARD", 5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray with two workers on this machine, which stays up for all tests here."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    yield
    ray.shutdown()


def encode(recipe: Recipe, tower: Tower, folder: Path, texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    """Through the files that a build keeps."""
    folder.mkdir(exist_ok=True)
    with executors.documents(recipe, tower) as spread:
        return shards.compute(
            iter(texts), len(texts), folder / "vectors.npy", spread=spread, advance=lambda n: None
        )


def test_processes(recipe: Recipe, tower: Tower, tmp_path: Path) -> None:
    """Two of them go on where this one was interrupted; whichever is done first, the rows are in order."""

    def interrupted() -> Iterator[str]:
        yield from TEXTS[:12]
        raise KeyboardInterrupt

    folder = tmp_path / "there"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt), executors.documents(recipe, tower) as spread:
        shards.compute(interrupted(), 37, folder / "vectors.npy", spread=spread, advance=lambda n: None)
    assert len(list(folder.iterdir())) == 2
    there = encode(replace(recipe, executor="processes", workers=2), tower, folder)
    assert np.array_equal(there, encode(recipe, tower, tmp_path / "here"))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("cluster")
def test_ray(recipe: Recipe, tower: Tower, tmp_path: Path) -> None:
    """The same recipe on a cluster of two workers."""
    here = encode(recipe, tower, tmp_path / "here")
    there = encode(replace(recipe, executor="ray", workers=2), tower, tmp_path / "there")
    assert np.array_equal(there, here)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("cluster")
def test_another_model_over_there(recipe: Recipe, tower: Tower, tmp_path: Path) -> None:
    """Is refused by its digest, before its vectors are mixed with others."""
    with pytest.raises(ModelError, match="a worker has another model by that name"):
        encode(
            replace(recipe, executor="ray", workers=2), replace(tower, digest="0" * 64), tmp_path / "vectors"
        )


def test_a_worker_that_dies(
    recipe: Recipe, tower: Tower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel ends one for want of memory: one error of ours."""
    monkeypatch.setattr(executors, "_encode", _die)
    with pytest.raises(BuildError, match="a process that encoded documents was ended"):
        encode(replace(recipe, executor="processes", workers=2), tower, tmp_path / "vectors")


def _die(_: executors.Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_ray_is_not_installed(
    recipe: Recipe, tower: Tower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BuildError, match=r"pip install 'edge-runtime\[ray\]'"):
        encode(replace(recipe, executor="ray"), tower, tmp_path / "vectors")
