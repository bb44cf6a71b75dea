"""Pages of a mapping are given back once many were touched."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime  # noqa: F401 (before usearch: some versions crash the other way round, see pyproject.toml)
import pytest

import edge_runtime
from build_tools import loose
from edge_runtime import residence as residences
from edge_runtime.dense import DenseIndex
from edge_runtime.manifest import IndexSpec
from edge_runtime.residence import MOST_BYTES, TABLE_BYTES, Residence, give_back


def test_pages_are_given_back_when_many_were_touched() -> None:
    """And the count begins again."""
    released: list[int] = []
    residence = Residence(MOST_BYTES + 1, lambda: released.append(1))
    for _ in range(4):
        residence.touch(MOST_BYTES // 2)
    assert len(released) == 1
    residence.touch(MOST_BYTES + 1)
    residence.touch(MOST_BYTES + 1)
    assert len(released) == 3


def test_a_small_file_stays() -> None:
    """Where all of it may be resident, nothing is to be counted."""
    released: list[int] = []
    residence = Residence(MOST_BYTES, lambda: released.append(1))
    residence.touch(10 * MOST_BYTES)
    assert not released


def resident(path: Path) -> int:
    """Bytes of a mapped file that are in this process' memory."""
    text = Path("/proc/self/smaps").read_text()
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", text)
    assert found
    return sum(map(int, found)) * 1024


def test_a_mapped_array_is_let_go_and_read_again(tmp_path: Path) -> None:
    """Its pages leave the process, its numbers do not change."""
    numbers = np.arange(3_000_000, dtype=np.int64)
    np.save(tmp_path / "numbers.npy", numbers)
    bundle = loose.bundle(tmp_path)
    mapped = bundle.array("numbers.npy")
    residence = bundle.residence("numbers.npy")
    assert int(mapped.sum()) == int(numbers.sum())
    assert resident(tmp_path / "numbers.npy") >= numbers.nbytes
    residence.touch(numbers.nbytes)
    assert resident(tmp_path / "numbers.npy") < numbers.nbytes // 10
    assert int(mapped.sum()) == int(numbers.sum())
    del mapped
    bundle.close()


def test_what_opening_an_index_reads_is_given_back(tmp_path: Path) -> None:
    """usearch reads a part of every graph: nothing that a search by words needs."""
    from usearch.index import Index

    vectors = np.random.default_rng(0).integers(-127, 128, (5000, 32)).astype(np.int8)
    written = Index(ndim=32, dtype="i8", metric="cos")
    written.add(np.arange(5000), vectors, threads=1)
    written.save(str(tmp_path / "dense.usearch"))
    spec = IndexSpec("dense.usearch", "hnsw", "cos", "i8", 32, 5000, 260.0, 64, {"usearch": "2.26.1"})
    bundle = loose.bundle(tmp_path)
    index = DenseIndex.open(bundle, spec)
    assert resident(tmp_path / "dense.usearch") == 0
    assert index.search(vectors[7], 1).rows.tolist() == [7]
    assert resident(tmp_path / "dense.usearch") > 0
    index.close()
    bundle.close()


def advice(path: Path) -> set[str]:
    """What the system was told about a mapping (the VmFlags of proc(5))."""
    text = Path("/proc/self/smaps").read_text()
    found = re.search(rf"{re.escape(str(path))}\n(?:.*\n)*?VmFlags: (.*)", text)
    assert found is not None
    return set(found[1].split())


def test_what_is_read_here_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not read ahead, neither by the system nor when all else is."""
    for name in ("here.npy", "all.npy"):
        np.save(tmp_path / name, np.arange(100_000))
    bundle = loose.bundle(tmp_path)
    arrays = [bundle.array(name) for name in ("here.npy", "all.npy")]
    bundle.read_at_random("here.npy")
    assert "rr" in advice(tmp_path / "here.npy")
    assert "rr" not in advice(tmp_path / "all.npy")
    asked = []
    for name, mapping in bundle._maps.items():
        told = SimpleNamespace(
            madvise=lambda what, name=name: asked.append((name, what)), close=mapping.close
        )
        monkeypatch.setitem(bundle._maps, name, told)
    bundle.prefetch()
    assert asked == [("all.npy", mmap.MADV_WILLNEED)]
    del arrays
    bundle.close()


SIZE = 1 << 20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A megabyte of ones."""
    path = tmp_path / "model.bin"
    path.write_bytes(b"\1" * SIZE)
    return path


def test_what_an_engine_has_read_is_given_back(model: Path) -> None:
    """Of the files that are named; what they hold is read again when it is needed."""
    with model.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert mapping[:] == model.read_bytes()
    give_back()
    assert resident(model) == SIZE
    assert give_back([model]) >= SIZE
    assert resident(model) == 0
    assert mapping[:] == model.read_bytes()
    mapping.close()


def test_a_model_behind_a_link(model: Path, tmp_path: Path) -> None:
    """The system calls a mapping by the file itself; installed bundles are opened through a link."""
    (tmp_path / "current").symlink_to(model)
    with model.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert len(mapping[:]) == SIZE
    give_back([tmp_path / "current"])
    assert resident(model) == 0
    mapping.close()


@pytest.mark.parametrize("protected", [False, True])
def test_what_the_process_has_changed_is_kept(model: Path, protected: bool) -> None:
    """As the loader changes pages of a library before it protects them: those are in no file."""
    with model.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapping[0] = 7
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    if protected:
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), SIZE, mmap.PROT_READ) == 0
    give_back([model])
    assert (mapping[0], mapping[1]) == (7, 1)


def of_libraries(name: str) -> int:
    """Resident bytes of the mappings of files whose paths have `name` in them."""
    text = Path("/proc/self/smaps").read_text()
    found = re.findall(rf"^\w+-\w+ .*{name}.*\n(?:.*\n)*?Rss: +(\d+) kB", text, re.MULTILINE)
    return sum(map(int, found)) * 1024


def test_rows_of_an_engines_table(tmp_path: Path) -> None:
    """Once many were read, the pages around them are given back, again and again."""
    path = tmp_path / "model.tflite"
    size = TABLE_BYTES // SIZE * SIZE + SIZE  # whole pages
    path.write_bytes(b"\1" * size)
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    residence = Residence.of_table(path)
    for _ in range(2):
        assert len(mapping[:]) == size
        residence.touch(TABLE_BYTES)
        assert resident(path) == size
        residence.touch(SIZE)
        assert resident(path) == 0
        residence.touch(0)
    mapping.close()


def test_a_table_that_others_have_mapped(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs may be gone when pages are given back, and its addresses be somebody's memory."""
    monkeypatch.setattr(residences, "TABLE_BYTES", 0)
    with model.open("rb") as file:
        theirs = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        known = residences.mapped(model)
        ours = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert len(theirs[:]) == len(ours[:]) == SIZE
    Residence.of_table(model, known=known).touch(1)
    assert resident(model) == SIZE  # one of the two
    Residence.of_table(model).touch(1)
    assert resident(model) == 0
    theirs.close()
    ours.close()


def test_a_file_of_the_program_whose_name_is_no_text(tmp_path: Path) -> None:
    """Linux takes any bytes; what is mapped is listed with them."""
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    with path.open("w+b") as file:
        file.truncate(SIZE)
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert len(mapping[:]) == SIZE
    assert give_back([path]) >= SIZE
    mapping.close()


def test_a_model_that_is_not_mapped(model: Path) -> None:
    """As delegates copy it to where they compute."""
    Residence.of_table(model).touch(10 * MOST_BYTES)


def test_libraries_are_given_back() -> None:
    """And go on working: their pages come when they are called."""
    values = np.random.default_rng(0).standard_normal((64, 64))
    expected = values @ values
    before = of_libraries("/numpy")
    assert give_back() > 0
    assert of_libraries("/numpy") < before / 2
    assert np.array_equal(values @ values, expected)


def test_where_the_system_does_not_tell(tmp_path: Path) -> None:
    """No maps; or maps and no pagemap, as containers have it."""
    assert give_back(proc=tmp_path) == 0
    (tmp_path / "maps").write_text(Path("/proc/self/maps").read_text())
    assert give_back(proc=tmp_path) == 0


def test_a_pagemap_that_ends_early(tmp_path: Path) -> None:
    """Nothing is given back of which it is not known that nothing is lost."""
    (tmp_path / "maps").write_text(Path("/proc/self/maps").read_text())
    (tmp_path / "pagemap").write_bytes(b"")
    assert give_back(proc=tmp_path) == 0


def test_opening_gives_back_what_loading_has_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries, and the files of the encoder that is in use."""
    given: list[Path] = []
    monkeypatch.setattr(residences, "give_back", given.extend)
    with edge_runtime.open(bundle):
        pass
    assert [path.name for path in given] == ["model.onnx", "weights.bin"]
