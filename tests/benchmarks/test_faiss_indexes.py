"""The comparison with faiss, on the tiny set's sentences."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Script = Callable[[str], ModuleType]
MARKS = "<!-- faiss -->\n<!-- /faiss -->\n"


def compare(script: Script, results: Path, *arguments: object) -> int:
    """The exit status."""
    options = ["--results", results, "--out", results.parent / "out", "--cells", 4, "--recall", 0.9]
    return int(script("faiss_indexes").main(list(map(str, [*arguments, *options]))))


def test_a_line_for_each_index(script: Script, beir: Path, teacher_folder: Path, tmp_path: Path) -> None:
    """Ours and theirs, each tuned for the recall that was asked for, over the same passages and questions."""
    results = tmp_path / "RESULTS.md"
    results.write_text(MARKS, "utf-8")
    assert compare(script, results, beir, "--teacher", teacher_folder) == 0
    header, _, *lines = [
        line.strip("| ").split(" | ") for line in results.read_text("utf-8").splitlines() if line[:1] == "|"
    ]
    theirs = [f"faiss {kind.factory}" for kind in script("faiss_indexes").kinds(4, 32)]
    assert [line[0] for line in lines] == ["exact", "hnsw", "two-stage", "pq", *theirs]
    for line in lines:
        figures = dict(zip(header, line, strict=True))
        assert float(figures["recall@10"]) >= 0.85, line
        assert 0 < float(figures["p50 ms"]) <= float(figures["p99 ms"])
        assert float(figures["B a passage"]) > 0


def test_efforts(script: Script) -> None:
    """From the cheapest to all cells, or as far as this project's graphs are tuned; none for exact search."""
    flat, graph, cells, *_ = script("faiss_indexes").kinds(32, 64)
    assert flat.efforts(32) == (0,)
    assert list(cells.efforts(32)) == [8, 10, 12, 15, 18, 22, 27, 32]
    assert list(graph.efforts(32))[-1] == 1024


def test_effort_is_the_least_that_reaches_it(script: Script) -> None:
    """An index of cells stops looking once the questions that tune it find enough."""
    chance = np.random.default_rng(0)
    vectors = chance.standard_normal((500, 64), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    module = script("faiss_indexes")
    asked = module.Recall.of(vectors, vectors[:40] + np.float32(0.01))
    faiss = pytest.importorskip("faiss")
    kind = module.Kind("IVF32,SQ8", "nprobe")
    efforts = [
        int(module.theirs(faiss, kind, vectors, asked, asked, cells=32, recall=recall).effort)
        for recall in (0.1, 0.9, 1.1)
    ]
    assert efforts[0] == 8 < efforts[1] < efforts[2] == 32


def test_without_faiss(
    script: Script,
    beir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what to install, before anything is encoded."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    results = tmp_path / "RESULTS.md"
    results.write_text(MARKS, "utf-8")
    assert compare(script, results, beir) == 1
    assert "pip install faiss-cpu" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
