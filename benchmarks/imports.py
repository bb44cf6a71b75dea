"""What each step of a process that answers one question costs, and writes the table into RESULTS.md.

    python benchmarks/imports.py BUNDLE [--rounds 9]

Every figure is the median over fresh processes, the encoders taking turns. Milliseconds are processor time,
to which waiting for other programs does not count; megabytes are resident memory. A module's share depends
on what was imported before it, so the order is fixed: what several libraries share comes first. Of single
modules `python -X importtime` says more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command
from results import check_section, replace_section
from tables import markdown

from edge_runtime import encoders
from edge_runtime.bench import start
from edge_runtime.bench.child import Task
from edge_runtime.bundle import read_manifest
from edge_runtime.errors import Error
from edge_runtime.manifest import EncoderSpec, Manifest

PROG = "imports.py"
CHILD = Path(__file__).with_name("imports_child.py")
QUERY = "what is this and what is it for"

STANDARD = "dataclasses typing re pathlib json unicodedata"
"""Modules of the standard library that ours import first."""

ENGINES = {"onnx": "onnxruntime", "tflite": "ai_edge_litert.interpreter", "static": ""}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one process: processor time in milliseconds, and megabytes that it made resident."""

    name: str
    ms: float
    mb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One encoder: the medians of its steps, and those of whole processes.

    Attributes:
        wall: milliseconds from spawning to the first answer printed, by the clock.
        fastest: the least of them.
    """

    encoder: str
    steps: tuple[Step, ...]
    wall: float
    fastest: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="imports")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument("--rounds", type=int, default=9, metavar="N", help="processes an encoder (default: 9)")
    made.add_argument(
        "--encoders", nargs="+", metavar="ID", help="which of them (default: the first of each kind)"
    )
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.rounds < 1:
        raise Error("--rounds: expected 1 or more")
    manifest = read_manifest(options.bundle)
    specs = _chosen(manifest, options.encoders)
    measured = measure(options.bundle, specs, options.rounds)
    body = "\n\n".join([_about(manifest, options.rounds), table(measured)])
    replace_section(options.results, options.section, body)
    print(body)


def _chosen(manifest: Manifest, ids: Sequence[str] | None) -> list[EncoderSpec]:
    if ids:
        return [manifest.encoder(name) for name in ids]
    first: dict[str, EncoderSpec] = {}
    for spec in manifest.encoders:
        if encoders.obstacle(spec) is None:
            first.setdefault(spec.kind, spec)
    return list(first.values())


def measure(bundle: Path, specs: Sequence[EncoderSpec], rounds: int) -> list[Measured]:
    """Every encoder, taking turns."""
    runs: dict[str, list[list[Step]]] = {spec.id: [] for spec in specs}
    walls: dict[str, list[float]] = {spec.id: [] for spec in specs}
    for _ in range(rounds):
        for spec in specs:
            runs[spec.id].append(_steps(bundle, spec))
            task = Task(str(bundle), spec.id, 1, "size", "hybrid", 10, [QUERY])
            walls[spec.id].append(start.measure(task, times=1).median)
    return [
        Measured(
            name,
            tuple(_median(same) for same in zip(*runs[name], strict=True)),
            statistics.median(walls[name]),
            min(walls[name]),
        )
        for name in runs
    ]


def _steps(bundle: Path, spec: EncoderSpec) -> list[Step]:
    """Those of one fresh process.

    Raises:
        Error: it failed.
    """
    groups = {
        "standard library": STANDARD,
        "numpy": "numpy",
        "yaml": "yaml",
        "sqlite3": "sqlite3",
        "tokenizers": "tokenizers",
        "engine": ENGINES[spec.kind],
        "edge_runtime": f"edge_runtime.choice edge_runtime.retriever edge_runtime.encoders.{spec.kind}",
    }
    words = [f"{name}={modules}" for name, modules in groups.items()]
    command_line = [sys.executable, str(CHILD), str(bundle), spec.id, QUERY, *words]
    paths = [str(CHILD.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command_line, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.splitlines() or ["it said nothing"])[-1]
        raise Error(f"encoder {spec.id}: a process stopped with status {done.returncode} ({last})")
    return [Step(**step) for step in json.loads(done.stdout)]


def _median(same: Sequence[Step]) -> Step:
    """The middle of one step over all processes."""
    return Step(
        same[0].name,
        statistics.median(step.ms for step in same),
        statistics.median(step.mb for step in same),
    )


def table(measured: Sequence[Measured]) -> str:
    """A row a step; two columns an encoder."""
    header = ["step", *(f"{each.encoder} {unit}" for each in measured for unit in ("ms", "MB"))]
    rows = [[names[0].name, *_cells(names)] for names in zip(*(each.steps for each in measured), strict=True)]
    sums = [
        Step("sum", sum(step.ms for step in each.steps), sum(step.mb for step in each.steps))
        for each in measured
    ]
    rows.append(["sum", *_cells(sums)])
    for name, shown in (("wall", "by the clock, median"), ("fastest", "by the clock, fastest")):
        cells = [cell for each in measured for cell in (f"{getattr(each, name):.0f}", "")]
        rows.append([shown, *cells])
    return markdown(header, rows)


def _cells(steps: Sequence[Step]) -> list[str]:
    return [cell for step in steps for cell in (f"{step.ms:.1f}", f"{step.mb:.1f}")]


def _about(manifest: Manifest, rounds: int) -> str:
    return (
        f"{command.machine()}\n\n"
        f"{manifest.name} {manifest.version}, {len(manifest.encoders)} encoders in its manifest; medians "
        f"over {rounds} processes, processor time and resident memory of each step; a hybrid search on one "
        "thread, sizes checked. The last rows are by the clock, from spawning to the first answer:"
    )


if __name__ == "__main__":
    sys.exit(main())
