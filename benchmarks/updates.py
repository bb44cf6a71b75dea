"""What an update of a bundle costs, against encoding and indexing all of its documents again.

    python benchmarks/updates.py BUNDLE --add DOCS

Each is timed on a fresh copy of the build folder, without its finished stages; the teacher is loaded each
time. A build would also train, compile and measure the encoders, which an update keeps. Seconds are of
processor time, which other work on the machine lengthens less.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from results import check_section, replace_section
from tables import markdown

from build_tools import documents, record
from build_tools.distill.lessons import Lesson
from build_tools.progress import Progress
from build_tools.record import BUNDLE
from build_tools.stages.corpus import corpus_of, encode_corpus, reduce_vectors
from build_tools.stages.indexes import build_index, build_lexical
from build_tools.towers import Tower
from build_tools.update import Changes, update
from build_tools.workspace import LOCK, STAGES, Workspace
from edge_runtime.bundle import read_manifest
from edge_runtime.errors import Error
from edge_runtime.manifest import Manifest

PROG = "updates.py"
HEADER = ("", "processor s", "files that change", "MB in them", "MB in all")


@dataclass(frozen=True, slots=True)
class Change:
    """An update, timed.

    Attributes:
        files: that the old version has not, by their bytes.
        bytes: in those files; `whole` of all files.
    """

    name: str
    seconds: float
    files: int
    bytes: int
    whole: int

    def row(self) -> list[str]:
        """Cells of the table."""
        sizes = (f"{size / 1e6:.1f}" for size in (self.bytes, self.whole))
        return [self.name, f"{self.seconds:.1f}", f"{self.files}", *sizes]


def main(argv: list[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="updates")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory in its build folder")
    made.add_argument("--add", type=Path, required=True, metavar="DOCS", help="documents to add")
    made.add_argument(
        "--updates-only",
        action="store_true",
        help="leave out encoding and indexing all, which may take hours",
    )
    made.add_argument("--runs", type=int, default=3, metavar="N", help="the median of N (default: 3)")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.runs < 1:
        raise Error("--runs: expected 1 or more")
    home = record.home_of(options.bundle)
    old = read_manifest(home / BUNDLE)
    key = documents.keys(home / BUNDLE)[0]
    changes = (
        (f"add {options.add.name}", Changes(add=(options.add,))),
        ("remove a document", Changes(remove=(key,))),
    )
    rows = [_change(home, old, name, change, options.runs).row() for name, change in changes]
    if not options.updates_only:
        rows.append(["encode and index all", f"{_median(home, options.runs, _afresh):.1f}", "", "", ""])
    about = (
        f"{old.name} {old.version}: {old.documents.documents:,} documents, "
        f"{old.documents.passages:,} passages, {len(old.encoders)} encoders, "
        f"{len(old.files)} files; medians of {options.runs}:"
    )
    body = f"{command.machine()}\n\n{about}\n\n{markdown(HEADER, rows)}"
    replace_section(options.results, options.section, body)
    print(body)


def _change(home: Path, old: Manifest, name: str, changes: Changes, runs: int) -> Change:
    made: list[Manifest] = []

    def once(copy: Path) -> None:
        made.append(read_manifest(update(copy / BUNDLE, changes, Progress()).bundle))

    seconds = _median(home, runs, once)
    known = {entry.sha256 for entry in old.files}
    changed = [entry.size for entry in made[0].files if entry.sha256 not in known]
    return Change(name, seconds, len(changed), sum(changed), sum(entry.size for entry in made[0].files))


def _afresh(home: Path) -> None:
    """Encodes and indexes the documents of a bundle as a build does."""
    recipe, workspace, progress = record.need(home).recipe, Workspace(home / STAGES), Progress()
    corpus = corpus_of(home / BUNDLE, read_manifest(home / BUNDLE))
    tower = Tower.load(recipe.teacher)
    full, key = encode_corpus(recipe, tower, corpus, workspace, progress)
    _, vectors = reduce_vectors(recipe.teacher, tower, full, key, workspace, progress)
    # Without queries: how far a search looks is not found out anew.
    nothing = Lesson((), np.empty((0, tower.ndim), np.float32))
    build_index(recipe, vectors, nothing, workspace, progress)
    build_lexical(recipe, corpus, workspace, progress)


def _median(home: Path, runs: int, once: Callable[[Path], None]) -> float:
    return statistics.median(_seconds(home, runs, once))


def _seconds(home: Path, runs: int, once: Callable[[Path], None]) -> Iterator[float]:
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            ignore = shutil.ignore_patterns(STAGES, LOCK, "*.edge")
            copy = shutil.copytree(home, Path(folder) / "copy", ignore=ignore)
            began = time.process_time()
            once(copy)
            yield time.process_time() - began


if __name__ == "__main__":
    raise SystemExit(main())
