"""What a query costs on emulated ARM boards, in instructions, and writes the table into RESULTS.md.

    python benchmarks/instructions.py BUNDLE [--cpu cortex-a72 --cpu cortex-a76]

Boots each processor twice: once to replay the golden queries against the vectors of the build, and once with
a clock that advances one nanosecond an instruction, so that the benchmark's own timers count instructions.
The count does not change with what else this computer does. It is not a time: how many instructions a board
finishes in a second depends on its clock, its memory and the instructions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import command
from emulator.machine import Hardware
from emulator.runtime import Runtime
from results import check_section, replace_section
from tables import markdown

from build_tools.progress import Progress
from edge_runtime.bench import lengths, queries
from edge_runtime.bench.lengths import Timing
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import EncoderSpec, Manifest

PROG = "instructions.py"
CPUS = ("cortex-a72", "cortex-a76")
LENGTHS = (8, 16, 32)
REPEATS = 5
WARM_UP = 2
MEMORY_MB = 512
MILLISECOND = 1_000_000
"""Instructions, on the counting machine."""

# Once through all queries unmeasured, then once measured, so that each counts once.
SEARCH = """
import json, statistics, sys
import edge_runtime
from edge_runtime.bench import stopwatch
task = json.load(sys.stdin)
with edge_runtime.open(task["bundle"], encoder=task["encoder"], verify="size") as retriever:
    n = len(task["queries"])
    laps = stopwatch.measure(retriever, task["queries"], n=n, warm_up=n)
print(json.dumps({"total": statistics.fmean(laps.totals)} | {k: sum(v) / n for k, v in laps.stages.items()}))
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """One encoder on one processor.

    Attributes:
        engine: name and version.
        cosine: the least, of its golden queries to the vectors of the build.
        timing: of the encoder alone, in millions of instructions.
        search: instructions of a whole hybrid search and of its stages, means over the golden queries.
    """

    engine: str
    cosine: float
    timing: Timing
    search: Mapping[str, float]

    def encode(self, place: int) -> float:
        """The median query of one length, in millions of instructions."""
        return statistics.median(self.timing.queries[place])


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="instructions")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument(
        "--cpu", action="append", metavar="CPU", help=f"may be given again (default: {' and '.join(CPUS)})"
    )
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    bundle = Bundle.open(options.bundle)
    manifest, asked = bundle.manifest, queries.golden(bundle)
    bundle.close()
    cpus = options.cpu or list(CPUS)
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime.create(options.bundle, Path(folder))
        counted = {cpu: count(runtime, cpu, manifest, asked) for cpu in cpus}
    body = "\n\n".join([_about(manifest, len(asked)), table(manifest, counted), stages(manifest, counted)])
    replace_section(options.results, options.section, body)
    print(body)


def count(runtime: Runtime, cpu: str, manifest: Manifest, asked: Sequence[str]) -> Mapping[str, Counted]:
    """Every encoder on one processor, by id.

    Raises:
        Error: the machine does not boot, or an encoder does not work or computes something else there.
    """
    with runtime.machine.powered(Hardware(cpu, memory_mb=MEMORY_MB)):
        golden = runtime.report("verify", runtime.bundle)["golden"]
    replays = {each["encoder"]: each for each in golden["replays"]}
    found = {}
    with (
        runtime.machine.powered(Hardware(cpu, memory_mb=MEMORY_MB, counting=True)),
        Progress().task(f"counting on {cpu}", total=len(manifest.encoders), unit="encoders") as advance,
    ):
        for spec in manifest.encoders:
            replay = replays[spec.id]
            timing, whole = encode(runtime, spec), search(runtime, spec, asked)
            found[spec.id] = Counted(replay["engine"], replay["cosine"], timing, whole)
            advance(1)
    return found


def encode(runtime: Runtime, spec: EncoderSpec) -> Timing:
    """One encoder alone, in millions of instructions, on a machine that is on and counts.

    Raises:
        Error: the encoder does not work there.
    """
    fitting = [min(length, spec.max_tokens) for length in LENGTHS]
    task = lengths.Task(runtime.bundle, spec.id, fitting, REPEATS, warm_up=WARM_UP)
    return Timing(**runtime.call("bench.lengths", asdict(task)))


def search(runtime: Runtime, spec: EncoderSpec, asked: Sequence[str]) -> Mapping[str, float]:
    """Instructions of a hybrid search and of its stages, on a machine that is on and counts.

    Raises:
        Error: the search fails there.
    """
    task = {"bundle": runtime.bundle, "encoder": spec.id, "queries": asked}
    found: dict[str, float] = json.loads(runtime.python(SEARCH, stdin=json.dumps(task)).stdout)
    return found


def table(manifest: Manifest, counted: Mapping[str, Mapping[str, Counted]]) -> str:
    """A row an encoder, the same columns for each processor."""
    header = ["encoder", "engine"]
    for cpu in counted:
        name = cpu.removeprefix("cortex-")
        header += [f"{name} load", *(f"{name} {length}" for length in LENGTHS)]
        header += [f"{name} search", f"{name} cosine"]
    return markdown(header, [_row(spec.id, list(counted.values())) for spec in manifest.encoders])


def _row(encoder: str, counted: Sequence[Mapping[str, Counted]]) -> list[str]:
    cells = [encoder, counted[0][encoder].engine]
    for each in (by_encoder[encoder] for by_encoder in counted):
        cells.append(f"{each.timing.load:.0f}")
        cells += [f"{each.encode(place):.2f}" for place in range(len(LENGTHS))]
        cells += [f"{each.search['total'] / MILLISECOND:.1f}", f"{each.cosine:.4f}"]
    return cells


def stages(manifest: Manifest, counted: Mapping[str, Mapping[str, Counted]]) -> str:
    """Where the instructions of a hybrid search are, with the bundle's first encoder."""
    first = manifest.encoders[0].id
    searches = {cpu: by_encoder[first].search for cpu, by_encoder in counted.items()}
    names = [*(name for name in next(iter(searches.values())) if name != "total"), "total"]
    rows = [
        [cpu, *(f"{search[name] / MILLISECOND:.2f}" for name in names)] for cpu, search in searches.items()
    ]
    return f"The same, stage by stage, with {first}:\n\n{markdown(['processor', *names], rows)}"


def _about(manifest: Manifest, asked: int) -> str:
    return (
        f"{manifest.name} {manifest.version}, {manifest.documents.passages:,} passages, on a machine of "
        f"{MEMORY_MB} MB emulated by QEMU. Millions of instructions on one thread, the kernel's among them: "
        "load is importing the engine and preparing the encoder; numbers of tokens are the encoder alone; "
        f"search is a whole hybrid search, the mean of the bundle's {asked} golden queries. Cosine is the "
        "least of their vectors to those that were computed on x86-64 when the bundle was built:"
    )


if __name__ == "__main__":
    sys.exit(main())
