"""What each encoder of a bundle costs on each engine, and writes the table into RESULTS.md.

    python benchmarks/engines.py BUNDLE [--rounds 5]

BUNDLE is a directory built with ``compile.engines=[onnx, tflite]``. Every figure of time and memory comes
from fresh processes on one thread, the encoders taking turns, round after round: what else the machine does
meets all of them alike. Cosines and retention are those of the bundle's quality card.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import command
import numpy as np
from results import check_section, replace_section
from tables import markdown

from build_tools import quality
from build_tools.progress import Progress
from edge_runtime import device_config, encoders
from edge_runtime.bench import lengths, start
from edge_runtime.bench.child import Task as StartTask
from edge_runtime.bench.lengths import Timing
from edge_runtime.bench.start import Start
from edge_runtime.bundle import read_manifest
from edge_runtime.errors import Error
from edge_runtime.manifest import EncoderSpec, Manifest

PROG = "engines.py"
LENGTHS = (8, 16, 32, 48)
QUESTIONS = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """One encoder over all rounds."""

    spec: EncoderSpec
    timings: list[Timing] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)

    def percentile(self, place: int, percent: float) -> float:
        """Of all queries of one length, in milliseconds."""
        times = [value for timing in self.timings for value in timing.queries[place]]
        return float(np.percentile(times, percent))

    def memory(self, name: str) -> str:
        """The median over the rounds, in MB; "?" where the system does not tell."""
        values = [value for each in self.starts if (value := getattr(each.memory, name)) is not None]
        return f"{statistics.median(values) / 1e6:.0f}" if values else "?"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="engines")
    made.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a directory with encoders for both engines"
    )
    made.add_argument("--rounds", type=int, default=5, metavar="N", help="processes an encoder (default: 5)")
    made.add_argument(
        "-n", type=int, default=200, metavar="N", help="queries a length and round (default: 200)"
    )
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if options.rounds < 1 or options.n < 1:
        raise Error("--rounds and -n: expected 1 or more")
    manifest = read_manifest(options.bundle)
    card = quality.read(options.bundle)
    measured = measure(options.bundle, manifest, options.rounds, options.n, Progress())
    body = "\n\n".join([_about(manifest, options), table(measured, card)])
    replace_section(options.results, options.section, body)
    print(body)


def measure(bundle: Path, manifest: Manifest, rounds: int, n: int, progress: Progress) -> list[Measured]:
    """Every encoder, taking turns."""
    found = [Measured(spec) for spec in manifest.encoders]
    with progress.task("measuring", total=rounds * len(found), unit="processes") as advance:
        for _ in range(rounds):
            for each in found:
                task = lengths.Task(str(bundle), each.spec.id, _fitting(each.spec), n)
                each.timings.append(lengths.measure(task))
                each.starts.append(start.measure(_start(bundle, each.spec), times=1))
                advance(1)
    return found


def _fitting(spec: EncoderSpec) -> list[int]:
    """All lengths; those that the encoder would never be given count as its longest."""
    return [min(length, spec.max_tokens) for length in LENGTHS]


def _start(bundle: Path, spec: EncoderSpec) -> StartTask:
    questions = [f"question number {number} about this and that" for number in range(QUESTIONS)]
    return StartTask(str(bundle), spec.id, 1, "size", "dense", 10, questions)


def table(measured: Sequence[Measured], card: quality.QualityCard) -> str:
    """A row an encoder."""
    header = ["encoder", "engine", "MB", "cosine mean", "least", "kept", "load ms", "first ms"]
    header += [f"p50 {length}" for length in LENGTHS] + ["p99 16", "start ms", "peak MB", "private MB"]
    return markdown(header, _rows(measured, card))


def _rows(measured: Sequence[Measured], card: quality.QualityCard) -> Iterator[list[str]]:
    parities = {each.encoder: each for each in card.parity}
    for each in measured:
        spec, parity, row = each.spec, parities[each.spec.id], card.through_index(each.spec.id)
        yield [
            spec.id,
            encoders.engine(spec, config=device_config.read()) or "?",
            f"{spec.cost.bytes / 1e6:.1f}" if spec.cost else "?",
            f"{parity.cosine_mean:.4f}",
            f"{parity.cosine_min:.4f}",
            "?" if row is None or row.retention is None else f"{row.retention:.3f}",
            f"{statistics.median(timing.load for timing in each.timings):.0f}",
            f"{statistics.median(timing.first for timing in each.timings):.1f}",
            *(f"{each.percentile(place, 50):.2f}" for place in range(len(LENGTHS))),
            f"{each.percentile(LENGTHS.index(16), 99):.2f}",
            f"{statistics.median(begun.median for begun in each.starts):.0f}",
            each.memory("peak"),
            each.memory("private"),
        ]


def _about(manifest: Manifest, options: argparse.Namespace) -> str:
    return (
        f"{command.machine()}\n\n"
        f"{manifest.name} {manifest.version}, {manifest.documents.passages:,} passages; {options.rounds} "
        f"rounds of {options.n} queries a length, one thread. Times of the encoder alone, by tokens; start "
        "is a process from its spawning to its first answer in dense mode, sizes checked; memory is that "
        f"process's after {QUESTIONS} answers, index and documents included:"
    )


if __name__ == "__main__":
    sys.exit(main())
