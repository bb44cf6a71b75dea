"""What a search costs and finds as the passages grow in number, and writes tables and a picture.

    python benchmarks/scale.py BUNDLE DIR... [--sizes 1000,10000,100000,1000000]

The encoders are BUNDLE's. Passages are the sentences of the folders in BEIR layout, then resampled ones
(`scale_corpus.py` says how). Half of the folders' judged queries tune how far a search looks, the other half
is asked. Each search is measured in a process of its own, one thread; in a control group with a limit of
memory where --limit-mb is given and the system lets us make one (root, cgroup v1).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import command
import numpy as np
import scale_bundle
import scale_corpus
import scale_plot
from results import check_section, replace_section
from scale_bundle import Indexed, Sized, Strategy
from tables import markdown

from build_tools.corpus.beir import read_queries
from build_tools.progress import Progress
from build_tools.recipe_training import TeacherSpec
from build_tools.towers import Tower
from edge_runtime import manifest as manifests
from edge_runtime.errors import Error

PROG = "scale.py"
CHILD = Path(__file__).with_name("scale_child.py")
CGROUPS = Path("/sys/fs/cgroup/memory")
HEADER = ["passages", "index", "encoder", "effort", "recall@10", "B a passage", "build s", "p50 ms", "p99 ms"]
HEADER += ["cold p50 ms", "hybrid p50 ms", "hybrid p99 ms", "peak MB", "private MB"]
WORDS = ["passages", "terms", "B a passage", "build s", "p50 ms", "p95 ms", "p99 ms", "peak MB"]
_COLD = 20
_MOST_QUERIES = 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """One index of one size; `dense` and `hybrid` are what the child processes told."""

    passages: int
    strategy: Strategy
    encoder: str
    index: Indexed
    dense: dict[str, Any]
    hybrid: dict[str, Any]

    def cells(self) -> list[str]:
        """The line of the table."""
        index, memory = self.index, self.hybrid["memory"]
        return [
            f"{self.passages:,}",
            self.strategy,
            self.encoder,
            index.about,
            f"{index.recall:.3f}",
            f"{index.bytes / self.passages:.0f}",
            f"{index.seconds:.0f}",
            *percentiles(self.dense, 50, 99),
            f"{np.median(self.dense['cold']):.1f}",
            *percentiles(self.hybrid, 50, 99),
            f"{memory['peak'] / 1e6:.0f}",
            f"{memory['dirty'] / 1e6:.0f}",
        ]


def percentiles(told: dict[str, Any], *percents: float) -> list[str]:
    """Of warm searches, in milliseconds."""
    return [f"{np.percentile(told['warm'], percent):.2f}" for percent in percents]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="scale")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="a folder in BEIR layout")
    made.add_argument(
        "--encoders", type=lambda text: text.split(","), metavar="ID,ID…", help="default: the first"
    )
    made.add_argument("--teacher", default=TeacherSpec().model, help="of BUNDLE (default: packaged)")
    made.add_argument("--sizes", type=command.seed_numbers, default=(1000, 10_000, 100_000), metavar="N,N…")
    made.add_argument("--strategies", type=lambda text: text.split(","), default=list(get_args(Strategy)))
    made.add_argument("--real", type=int, default=100_000, metavar="N", help="sentences at most")
    made.add_argument("--recall", type=float, default=0.985, help="what tuning aims at (default: .985)")
    made.add_argument("--limit-mb", type=int, metavar="N", help="memory of each measured process")
    made.add_argument(
        "--out", type=Path, default=Path("build/scale"), help="where encoded sentences are kept"
    )
    made.add_argument("--picture", type=Path, help="default: scale.png beside the results")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if unknown := set(options.strategies) - {*get_args(Strategy)}:
        raise Error(f"--strategies: expected some of {', '.join(get_args(Strategy))}; found {unknown}")
    command.check_folders(options.folders)
    progress, tower = Progress(), Tower.load(TeacherSpec(model=options.teacher))
    base = manifests.read(options.bundle / manifests.FILENAME)
    encoders = options.encoders or [base.encoders[0].id]
    for encoder in encoders:
        base.encoder(encoder)  # says which there are
    if tower.ndim != (expected := base.index.ndim):
        raise Error(f"--teacher: {tower.name} has {tower.ndim} dimensions; {options.bundle} has {expected}")
    texts = scale_corpus.sentences(options.folders, options.real)
    real = scale_corpus.encode(texts, tower, options.out, progress)
    queries = questions(options.folders)
    vectors = tower.encode_queries(queries)
    found, words = [], []
    for size in sorted(options.sizes):
        with tempfile.TemporaryDirectory(dir=options.out) as folder, _limited(options.limit_mb) as cgroup:
            sized = scale_bundle.sized(options.bundle, real, size, Path(folder) / "bundle", progress)
            for strategy in options.strategies:
                made = scale_bundle.indexed(
                    sized, strategy, vectors[1::2], vectors[::2], options.recall, progress
                )
                for encoder in encoders:
                    progress.say(f"asking     {size:,} passages, {strategy}, {encoder}")
                    ask = Asking(made.bundle, encoder, queries[1::2], cgroup)
                    found.append(Measured(size, strategy, encoder, made, ask("dense"), ask("hybrid")))
                    print(found[-1].cells(), flush=True)
            words.append(_words(sized, Asking(made.bundle, encoders[0], queries[1::2], cgroup)))
    about = f"{len(texts):,} real sentences, whose median cosine to their nearest is {real.nearness():.2f}; "
    about += f"{len(queries[1::2])} questions, each asked once after 50 to warm up."
    if options.limit_mb:
        about += f" No process had more than {options.limit_mb} MB, the page cache of its files included."
    tables = [markdown(HEADER, [each.cells() for each in found]), "The words alone:", markdown(WORDS, words)]
    if len(options.sizes) > 1:  # one size is no curve
        picture = options.picture or options.results.with_name("scale.png")
        scale_plot.draw([each for each in found if each.encoder == encoders[0]], picture)
        tables.append(f"![latency and memory]({picture.name})")
    body = "\n\n".join([command.machine(), about, *tables])
    replace_section(options.results, options.section, body)
    print(body)


def questions(folders: Sequence[Path]) -> list[str]:
    """The folders' questions in an order of their own, so that either half has some of each."""
    found = [query.text for folder in folders for query in read_queries(folder)]
    random.Random(0).shuffle(found)
    return found[: 2 * _MOST_QUERIES]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a process is asked."""

    bundle: Path
    encoder: str
    queries: Sequence[str]
    cgroup: Path | None

    def __call__(self, mode: str) -> dict[str, Any]:
        """Asks it, in a new process, and returns what it told."""
        task = {
            "bundle": str(self.bundle),
            "encoder": self.encoder,
            "queries": list(self.queries),
            "mode": mode,
            "cold": _COLD,
            "cgroup": str(self.cgroup) if self.cgroup else None,
        }
        root = str(Path(__file__).resolve().parents[1])
        done = subprocess.run(
            [sys.executable, str(CHILD)],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        if done.returncode:
            raise Error(
                f"{self.bundle}, {mode}: a process ended with {done.returncode}: {done.stderr[-500:]}"
            )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def _words(sized: Sized, ask: Asking) -> list[str]:
    told = ask("lexical")
    count = len(sized.vectors)
    return [
        f"{count:,}",
        f"{sized.words.terms:,}",
        f"{sized.lexical_bytes / count:.0f}",
        f"{sized.lexical_seconds:.0f}",
        *percentiles(told, 50, 95, 99),
        f"{told['memory']['peak'] / 1e6:.0f}",
    ]


@contextmanager
def _limited(megabytes: int | None) -> Iterator[Path | None]:
    """A control group of this much memory, without swap; None without a limit."""
    if megabytes is None:
        yield None
        return
    group = CGROUPS / f"edge-runtime-scale-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise Error(f"{group}: cannot be made ({error.strerror}); leave --limit-mb out") from None
    try:
        (group / "memory.limit_in_bytes").write_text(str(megabytes * 1_000_000))
        yield group
    finally:
        group.rmdir()


if __name__ == "__main__":
    raise SystemExit(main())
