"""What an index of product codes leaves out, and what it refuses."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_runtime
from build_tools import loose, product_codes
from edge_runtime import product_codes as reader
from edge_runtime.allowed import Allowed
from edge_runtime.dense import DenseIndex
from edge_runtime.errors import BundleError, CompatibilityError
from edge_runtime.faiss_library import faiss
from edge_runtime.manifest import IndexSpec

N, NDIM = 4000, 50
STORED = np.random.default_rng(0).integers(-127, 128, (N, NDIM)).astype(np.int8)
SPEC = IndexSpec(
    path="dense",
    search="pq",
    metric="cos",
    dtype="i8",
    ndim=NDIM,
    count=N,
    scale=300.0,
    expansion=64,
    writer={"faiss": "1.15.1"},
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files of an index of `STORED`, seventeen parts of three components, the last with a zero."""
    folder = tmp_path_factory.mktemp("codes")
    product_codes.write(STORED, folder / "dense", code_bytes=10, advance=lambda _: None)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def search(folder: Path, query: NDArray[np.int8], *, allowed: Allowed | None = None, **changes: Any) -> Any:
    """The ten nearest."""
    bundle = loose.bundle(folder)
    index = DenseIndex.open(bundle, replace(SPEC, **changes))
    found = index.search(query, 10, allowed=allowed)
    index.close()
    bundle.close()
    return found


def test_a_filter_that_changes(folder: Path) -> None:
    """Half, the other half, the first again: each search leaves out what its own filter does."""
    bundle = loose.bundle(folder)
    index = DenseIndex.open(bundle, SPEC)
    even = np.arange(N) % 2 == 0
    for mask in (even, ~even, even):
        found = index.search(STORED[7], 10, allowed=Allowed(mask, N // 2, N // 2))
        assert len(found) == 10
        assert mask[found.rows].all()
        assert (7 in found.rows) == mask[7]
    index.close()
    bundle.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"count": N - 1},
            r"holds 4000 codes of 51 dimensions in 1 cells, a IndexIVFPQFastScan; the .* 3999",
        ),
        ({"ndim": 52}, ".*of 51 dimensions .* the manifest says 4000 of 52 dimensions; rebuild the bundle"),
        ({"ndim": 48}, ".*of 51 dimensions .* the manifest says 4000 of 48 dimensions"),
    ],
)
def test_codes_of_something_else(folder: Path, changes: dict[str, Any], message: str) -> None:
    """Than the manifest says."""
    with pytest.raises(CompatibilityError, match=rf"codes\.faiss: {message}"):
        search(folder, STORED[0], **changes)


@pytest.mark.parametrize("factory", ["Flat", "IVF1,Flat", "IVF2,PQ10x4fs", "PQ10x4fs"])
def test_another_kind_of_index(folder: Path, factory: str) -> None:
    """faiss has many; this reads one."""
    index = faiss().index_factory(NDIM, factory, faiss().METRIC_INNER_PRODUCT)
    index.train(STORED.astype(np.float32))
    index.add(STORED.astype(np.float32))
    faiss().write_index(index, str(folder / "dense/codes.faiss"))
    with pytest.raises(CompatibilityError, match=r"holds 4000 codes of 50 dimensions .*; rebuild the bundle"):
        search(folder, STORED[0])


@pytest.mark.parametrize("data", [b"", b"x", b"IwPf" + bytes(100), b"usearch" * 1000])
def test_no_index_at_all(folder: Path, data: bytes) -> None:
    """faiss' own words in ours; should somebody hash the file anew."""
    (folder / "dense/codes.faiss").write_bytes(data)
    with pytest.raises(
        CompatibilityError, match=r"codes\.faiss: faiss 1\.\S+ cannot read it \(.+\); written by"
    ):
        search(folder, STORED[0])


def test_a_path_that_is_not_utf8(written: Path, tmp_path: Path) -> None:
    """faiss takes no other, and says so in terms of C++."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(written, folder)
    with pytest.raises(CompatibilityError, match=r"cannot read it \(its path is not UTF-8\)"):
        search(folder, STORED[0])


def test_codes_that_do_not_fit_into_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own error of that has no words."""

    def exhausted(_: str) -> Any:
        raise MemoryError

    monkeypatch.setattr(faiss(), "read_index", exhausted)
    with pytest.raises(CompatibilityError, match=r"cannot read it \(MemoryError\)"):
        search(folder, STORED[0])


def test_without_faiss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the command that helps are told."""

    def missing() -> Any:
        raise CompatibilityError("faiss is not installed; pip install it")

    monkeypatch.setattr(reader, "faiss", missing)
    with pytest.raises(CompatibilityError, match=r"codes\.faiss: faiss is not installed; pip install it$"):
        search(folder, STORED[0])


def test_codes_that_end_early(folder: Path) -> None:
    """Nothing is read beyond the file."""
    path = folder / "dense/codes.faiss"
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 50):
        path.write_bytes(whole[:length])
        with pytest.raises(CompatibilityError, match="cannot read it"):
            search(folder, STORED[0])


def test_ids_beyond_the_index(folder: Path) -> None:
    """Are found when they are met: they index no array."""
    path = folder / "dense/codes.faiss"
    index = faiss().read_index(str(path))
    other = faiss().index_factory(index.d, "IVF1,PQ17x4fs", faiss().METRIC_INNER_PRODUCT)
    other.by_residual = False
    vectors = np.zeros((N, index.d), np.float32)
    vectors[:, :NDIM] = STORED
    other.train(vectors)
    other.add_with_ids(vectors, np.arange(N, 2 * N))
    faiss().write_index(other, str(path))
    with pytest.raises(BundleError, match=r"codes\.faiss: has an id beyond 4000 places; rebuild the bundle"):
        search(folder, STORED[0])


def test_places_that_contradict_the_manifest(folder: Path) -> None:
    """As in every index with an order of its own."""
    path = folder / "dense/places.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(BundleError, match=r"places\.npy: expected int32 of shape"):
        search(folder, STORED[0])


def test_a_bundle_with_codes(product_coded: Path, bundle: Path) -> None:
    """Answers as one that compares every passage, with a filter and without."""
    questions = ("yeast and dough", "E-103", "a knot in the rope")
    wheres = (None, {"section": "bread"}, {"not": {"section": "bread"}})
    with edge_runtime.open(product_coded) as coded, edge_runtime.open(bundle) as exact:
        assert coded._current.parts.bundle.manifest.index.search == "pq"
        for question, where in product(questions, wheres):
            found, expected = (
                [(hit.key, hit.passage) for hit in each.search(question, mode="dense", where=where)]
                for each in (coded, exact)
            )
            assert found == expected != []
