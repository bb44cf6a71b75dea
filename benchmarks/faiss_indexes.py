"""The dense indexes of this project beside those of faiss: speed at equal recall, and bytes a passage.

    pip install faiss-cpu
    python benchmarks/faiss_indexes.py DIR... [--count 1000000]

Passages and questions are those of scale.py, encoded by the teacher. Half of the questions tune how far a
search looks: as little as reaches --recall; the other half is asked, one at a time and on one thread, by all
indexes in turn. An index that cannot reach it is measured where it finds most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import command
import numpy as np
import scale
import scale_corpus
from numpy.typing import NDArray
from results import check_section, replace_section
from scale_bundle import Strategy
from tables import markdown

from build_tools import index, loose, tuning
from build_tools.index import Recall
from build_tools.progress import Progress
from build_tools.recipe import IndexSpec
from build_tools.recipe_training import TeacherSpec
from build_tools.towers import Tower
from edge_runtime.dense import DenseIndex
from edge_runtime.errors import Error
from edge_runtime.ranking import Ranking

PROG = "faiss_indexes.py"
HEADER = ["index", "effort", "recall@10", "B a passage", "build s", "p50 ms", "p99 ms"]

Floats = NDArray[np.float32]
Search = Callable[[Floats, int], Ranking]

_ROUNDS = 3
_WARM_UP = 50
_REFINED = 20
"""Times as many candidates as are wanted are compared by their int8 vectors, where codes come first."""

_MEMORY = "import json, {module}; from edge_runtime.bench.child import read_memory as r; print(r().dirty)"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of faiss' indexes: a factory string, and the name of the parameter that is its effort."""

    factory: str
    effort: str = ""

    def efforts(self, cells: int) -> Sequence[int]:
        """From the cheapest on."""
        if not self.effort:
            return (0,)
        tried = [8]
        most = cells if self.effort == "nprobe" else 1024
        while tried[-1] < most:
            tried.append(min(most, tried[-1] * 5 // 4))
        return tried


@dataclass(frozen=True, slots=True)
class Made:
    """An index that is ready to be asked."""

    name: str
    effort: str
    recall: float
    bytes: float
    seconds: float
    search: Search


def kinds(cells: int, ndim: int) -> tuple[Kind, ...]:
    """int8 exactly, as a graph and in cells; cells of product codes, of bits; product codes without cells."""
    return (
        Kind("SQ8"),
        Kind("HNSW16,SQ8", "efSearch"),
        Kind(f"IVF{cells},SQ8", "nprobe"),
        Kind(f"IVF{cells},PQ{ndim // 4}x4fs,Refine(SQ8)", "nprobe"),
        Kind(f"IVF{cells},PQ{ndim // 2}x4fs,Refine(SQ8)", "nprobe"),
        Kind(f"RR,IVF{cells},RaBitQ,Refine(SQ8)", "nprobe"),
        Kind(f"PQ{ndim // 4}x4fs,Refine(SQ8)"),
        Kind(f"PQ{ndim // 2}x4fs,Refine(SQ8)"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="faiss")
    made.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="a folder in BEIR layout")
    made.add_argument("--teacher", default=TeacherSpec().model, help="default: the packaged one")
    made.add_argument("--count", type=int, metavar="N", help="passages, resampled ones too (default: --real)")
    made.add_argument("--real", type=int, default=100_000, metavar="N", help="sentences at most")
    made.add_argument("--only", default="", metavar="TEXT", help="indexes with this in their names")
    made.add_argument(
        "--cells", type=int, default=1024, metavar="N", help="of faiss' indexes (default: 1024)"
    )
    made.add_argument("--recall", type=float, default=0.98, help="what tuning aims at (default: .98)")
    made.add_argument(
        "--out", type=Path, default=Path("build/scale"), help="where encoded sentences are kept"
    )
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    command.check_folders(options.folders)
    try:
        faiss: Any = import_module("faiss")
    except ImportError:
        raise Error("faiss: not installed; pip install faiss-cpu") from None
    faiss.omp_set_num_threads(1)
    progress, tower = Progress(), Tower.load(TeacherSpec(model=options.teacher))
    texts = scale_corpus.sentences(options.folders, options.real)
    real = scale_corpus.encode(texts, tower, options.out, progress)
    questions = tower.encode_queries(scale.questions(options.folders))
    found = [kind for kind in kinds(options.cells, tower.ndim) if options.only in kind.factory]
    ours = [name for name in get_args(Strategy) if options.only in name]
    wanted = {"cells": options.cells, "recall": options.recall}
    with ExitStack() as opened, tempfile.TemporaryDirectory(dir=options.out) as folder:
        vectors = scale_corpus.vectors(real, options.count or len(texts), Path(folder, "vectors.npy"))
        tuned_by = Recall.of(vectors, questions[::2][: tuning.QUERIES])
        asked = Recall.of(vectors, questions[1::2])
        made = []
        for each in chain(
            _ours(ours, vectors, tuned_by, asked, Path(folder), options.recall, opened),
            (theirs(faiss, kind, vectors, tuned_by, asked, **wanted) for kind in found),
        ):
            progress.say(f"{each.name}: {each.effort or 'all'}, recall {each.recall:.3f}")
            made.append(each)
        times = _times(made, asked.queries)
    rows = [_cells(each, spent) for each, spent in zip(made, times, strict=True)]
    about = f"{len(vectors):,} passages, {len(texts):,} of them real; {len(asked.queries)} questions, each "
    about += f"asked {_ROUNDS} times; faiss {version('faiss-cpu')}. Importing costs a process "
    about += (
        f"{_imported('faiss'):.0f} MB of its own for faiss, {_imported('usearch.index'):.0f} MB for usearch."
    )
    body = "\n\n".join([command.machine(), about, markdown(HEADER, rows)])
    replace_section(options.results, options.section, body)
    print(body)


def _ours(
    names: Sequence[Strategy],
    vectors: Floats,
    tuned_by: Recall,
    asked: Recall,
    folder: Path,
    recall: float,
    opened: ExitStack,
) -> Iterator[Made]:
    """Those of this project, as a build makes them."""
    for strategy in names:
        place, recipe, began = folder / strategy, IndexSpec(strategy=strategy), time.perf_counter()
        place.mkdir()
        spec = index.write(vectors, place, spec=recipe, advance=lambda _: None)
        seconds = time.perf_counter() - began
        queries = tuned_by.queries
        spec = tuning.tuned(
            spec, place, vectors, queries, wanted=recipe, recall=recall, advance=lambda _: None
        )
        bundle = loose.bundle(place)
        opened.callback(bundle.close)
        dense = DenseIndex.open(bundle, spec)
        opened.callback(dense.close)
        effort = "" if strategy == "exact" else str(spec.expansion)
        size = sum((place / path).stat().st_size for path in spec.members) / len(vectors)
        yield Made(strategy, effort, asked(dense.search), size, seconds, dense.search)


def theirs(
    faiss: Any, kind: Kind, vectors: Floats, tuned_by: Recall, asked: Recall, *, cells: int, recall: float
) -> Made:
    """One of faiss, by the name that its factory knows."""
    began = time.perf_counter()
    made = faiss.index_factory(vectors.shape[1], kind.factory, faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    seconds, space = time.perf_counter() - began, faiss.ParameterSpace()
    if "Refine" in kind.factory:
        made.k_factor = _REFINED

    def search(query: Floats, count: int) -> Ranking:
        scores, rows = made.search(query[None], count)
        return Ranking(rows[0], scores[0])

    effort = ""
    for tried in kind.efforts(cells):
        if kind.effort:
            space.set_index_parameter(made, kind.effort, tried)
            effort = str(tried)
        if tuned_by(search) >= recall:
            break
    size = len(faiss.serialize_index(made)) / len(vectors)
    return Made(f"faiss {kind.factory}", effort, asked(search), size, seconds, search)


def _times(made: Sequence[Made], queries: Floats) -> list[list[float]]:
    """Milliseconds of each index' searches, the indexes in turn."""
    spent: list[list[float]] = [[] for _ in made]
    for _ in range(_ROUNDS):
        for each, times in zip(made, spent, strict=True):
            for query in queries[:_WARM_UP]:
                each.search(query, 10)
            for query in queries:
                began = time.perf_counter_ns()
                each.search(query, 10)
                times.append((time.perf_counter_ns() - began) / 1e6)
    return spent


def _cells(made: Made, times: Sequence[float]) -> list[str]:
    median, high = np.percentile(times, [50, 99])
    figures = [
        f"{made.recall:.3f}",
        f"{made.bytes:.0f}",
        f"{made.seconds:.0f}",
        f"{median:.2f}",
        f"{high:.2f}",
    ]
    return [made.name, made.effort, *figures]


def _imported(module: str) -> float:
    """Megabytes of its own that a process has more, once it has imported a module."""
    root = str(Path(__file__).resolve().parents[1])
    sizes = []
    for each in (module, "numpy"):
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY.format(module=each)],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": root},
        )  # fmt: skip
        sizes.append(json.loads(done.stdout) / 1e6)
    return sizes[0] - sizes[1]


if __name__ == "__main__":
    raise SystemExit(main())
