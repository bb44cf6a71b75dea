"""How long `edge-runtime install` takes for a large bundle, and how much memory, from a file and from a pipe.

    python benchmarks/installing.py tests/golden/0.2.0 [--passages 175000] [--runs 5]

The bundle is the given one with a made-up corpus in its own one's place; the more passages, the larger it is.
Each install has a process and an empty store of its own, and leaves out the self-test, for the golden queries
are not those of that corpus. Files and pipes take turns, with the same processes beside them. Memory is the
most that was ever resident; the row *nothing* is the same command for a file that is not there, which is what
Python takes with all that is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import command
from made_up import Kind, make
from results import check_section, replace_section
from tables import markdown

from build_tools import documents, fields
from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.errors import Error
from edge_runtime.manifest import DocumentsSpec, FileEntry

PROG = "installing.py"
KIND: Kind = "exact"
HEADER = ("from", "runs", "s", "processor s", "peak MB")
MISSING = "/nowhere.edge"

CHILD = """
import sys
from edge_runtime.cli import main
status = main(["install", sys.argv[1], "--no-self-test", "--json"])
import json, time
peak = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"status": status, "peak": peak, "processor": time.process_time()}))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One install, from its process's start: seconds by the clock and of the processor, bytes of memory."""

    seconds: float
    processor: float
    peak: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="installing")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument("--passages", type=int, default=175_000, metavar="N", help="default: 175,000")
    made.add_argument("--runs", type=int, default=5, metavar="N", help="of each kind (default: 5)")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.runs < 1 or options.passages < 1:
        raise Error("--runs and --passages: expected 1 or more")
    with tempfile.TemporaryDirectory(prefix="installing-") as temporary:
        folder = Path(temporary)
        bundle = enlarged(options.bundle, folder / "bundle", options.passages)
        file = pack(bundle, folder / "made-up.edge")
        measured = measure(file, folder, options.runs)
        manifest = manifests.read(bundle / manifests.FILENAME)
        size, files = file.stat().st_size / 1e6, len(manifest.files)
    about = f"A transport file of {size:.1f} MB with {files} files ({options.passages:,} passages). Medians:"
    table = markdown(HEADER, [row(kind, runs) for kind, runs in measured.items()])
    body = f"{command.machine()}\n\n{about}\n\n{table}"
    replace_section(options.results, options.section, body)
    print(body)


def enlarged(bundle: Path, folder: Path, passages: int) -> Path:
    """A copy with a made-up corpus of so many passages; its golden queries do not fit."""
    copy = Path(shutil.copytree(bundle, folder))
    old = manifests.read(copy / manifests.FILENAME)
    for path in (old.documents.path, old.documents.owners, old.index.path):
        (copy / path).unlink()
    shutil.rmtree(copy / old.lexical.path)
    made = make(copy, passages, old.index.ndim, queries=1, kinds=[KIND])
    alone, spec = made.indexes[KIND]
    for opened in (made.bundle, alone):
        opened.close()
    (copy / fields.FILENAME).unlink()
    texts = DocumentsSpec(documents.FILENAME, documents.OWNERS, passages, passages, old.documents.writer)
    paths = sorted(path for path in copy.rglob("*") if path.is_file() and path.name != manifests.FILENAME)
    files = tuple(
        FileEntry(path.relative_to(copy).as_posix(), path.stat().st_size, sha256(path)) for path in paths
    )
    dense = replace(spec, path=f"{KIND}/{spec.path}")
    changed = replace(old, name="made-up", documents=texts, index=dense, lexical=made.lexical, files=files)
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return copy


def measure(file: Path, folder: Path, count: int) -> dict[str, list[Run]]:
    """Installs it so often in each way, by turns."""
    found: dict[str, list[Run]] = {"a file": [], "a pipe": [], "nothing": []}
    for _ in range(count):
        for kind, runs in found.items():
            store = Path(tempfile.mkdtemp(dir=folder))
            runs.append(install(kind, file, store))
            shutil.rmtree(store)
    return found


def install(kind: str, file: Path, store: Path) -> Run:
    """One install into an empty store.

    Raises:
        Error: it fails, or succeeds where there is nothing.
    """
    source = {"a file": str(file), "a pipe": "-", "nothing": MISSING}[kind]
    environment = {**os.environ, "EDGE_RUNTIME_HOME": str(store)}
    begun = time.monotonic()
    with subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as sending:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, source],
            stdin=sending.stdout if kind == "a pipe" else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        seconds = time.monotonic() - begun
        sending.kill()
    answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"status": done.returncode}
    if answer["status"] != (1 if kind == "nothing" else 0):
        raise Error(f"{kind}: the install ended with status {answer['status']}: {done.stderr.strip()}")
    return Run(seconds, answer["processor"], answer["peak"])


def row(kind: str, runs: Sequence[Run]) -> list[str]:
    """The table's, of all runs of one kind."""
    seconds = statistics.median(each.seconds for each in runs)
    processor = statistics.median(each.processor for each in runs)
    peak = statistics.median(each.peak for each in runs)
    return [kind, str(len(runs)), f"{seconds:.2f}", f"{processor:.2f}", f"{peak / 1e6:.0f}"]


if __name__ == "__main__":
    sys.exit(main())
