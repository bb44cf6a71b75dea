"""Fresh processes: what they measure, and how they fail."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bench import start
from edge_runtime.bench.child import Memory, Task, read_memory
from edge_runtime.errors import BundleError, IntegrityError, QueryError

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.fixture
def task(bundle: Path) -> Task:
    """Two queries to the tiny bundle."""
    return Task(
        bundle=str(bundle),
        encoder=None,
        threads=1,
        verify="full",
        mode="hybrid",
        k=3,
        queries=("yeast", "tide"),
    )


@linux
def test_measure(task: Task) -> None:
    """Times in order, and memory of a process that holds an engine."""
    measured = start.measure(task, times=2)
    assert (measured.verify, measured.n, measured.queries) == ("full", 2, 2)
    assert 0 < measured.min <= measured.median <= measured.max
    memory = measured.memory
    assert memory.peak is not None
    assert memory.resident is not None
    assert memory.private is not None
    assert memory.dirty is not None
    assert 1_000_000 < memory.dirty <= memory.private <= memory.resident <= memory.peak * 1.01


def test_the_working_directory_hides_nothing(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stray numpy.py or edge_runtime.py where the user happens to stand is not imported."""
    for name in ("numpy", "edge_runtime", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported by mistake')", "utf-8")
    monkeypatch.delenv("PYTHONPATH", raising=False)  # a relative one would name this folder
    monkeypatch.chdir(tmp_path)
    assert start.measure(task, times=1).n == 1


def test_missing_bundle(task: Task, tmp_path: Path) -> None:
    """The child's error comes back as it was raised there."""
    with pytest.raises(BundleError, match="gone: no such bundle directory"):
        start.measure(replace(task, bundle=str(tmp_path / "gone")), times=1)


def test_damaged_bundle(task: Task, bundle_copy: Path) -> None:
    """Its class and its message, as if the bundle had been opened here."""
    with (bundle_copy / "golden.jsonl").open("r+b") as file:
        file.write(b"#")
    with pytest.raises(IntegrityError, match=r"golden\.jsonl"):
        start.measure(replace(task, bundle=str(bundle_copy)), times=1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoder": "none"}, "encoder: bundle tiny has layers2; found 'none'"),
        ({"mode": "fuzzy"}, "mode: expected one of hybrid, dense, lexical; found 'fuzzy'"),
        ({"queries": (" ",)}, "query: expected some text; found none"),
    ],
)
def test_unusable_arguments(task: Task, change: dict[str, str], problem: str) -> None:
    """As from `open` and `search`."""
    with pytest.raises(QueryError, match=f"^{problem}$"):
        start.measure(replace(task, **change), times=1)  # type: ignore[arg-type]


def test_medians_of_memory(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure by figure over the processes that told."""
    told = iter([Memory(1, 10, None, None), Memory(5, 20, 7, None), Memory(3, None, 8, None)])
    monkeypatch.setattr(start, "_spawn", lambda _: (1.26, next(told)))
    measured = start.measure(task, times=3)
    assert measured.memory == Memory(peak=3, resident=15, private=8, dirty=None)
    assert (measured.median, measured.min, measured.max) == (1.3, 1.3, 1.3)


ROLLUP = """\
5581e7c3d000-7ffc5a5f3000 ---p 00000000 00:00 0                          [rollup]
Rss:                6144 kB
Pss:                2867 kB
Pss_Dirty:          1000 kB
Shared_Clean:       3584 kB
Private_Clean:       512 kB
Private_Dirty:      2048 kB
"""
STATUS = "Name:\tpython3\nVmPeak:\t  240000 kB\nVmHWM:\t    7168 kB\nVmRSS:\t    6100 kB\nThreads:\t1\n"


def test_read_memory(tmp_path: Path) -> None:
    """smaps_rollup where the kernel has it, since it is exact; the peak from status."""
    (tmp_path / "status").write_text(STATUS, "utf-8")
    assert read_memory(tmp_path) == Memory(7168 * 1024, 6100 * 1024, None, None)
    (tmp_path / "smaps_rollup").write_text(ROLLUP, "utf-8")
    assert read_memory(tmp_path) == Memory(7168 * 1024, 6144 * 1024, 2560 * 1024, 2048 * 1024)


def test_no_proc(tmp_path: Path) -> None:
    """Another system: nothing is known, and nothing fails."""
    assert read_memory(tmp_path / "gone") == Memory(None, None, None, None)
