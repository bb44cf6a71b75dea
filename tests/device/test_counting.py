"""A machine whose clock counts instructions, which benchmarks/instructions.py reads."""

from __future__ import annotations

from pathlib import Path

import instructions
import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

from edge_runtime.bundle import read_manifest

pytestmark = pytest.mark.device


def test_counts_do_not_depend_on_what_else_runs(runtime: Runtime, two_engines: Path) -> None:
    """More tokens take more instructions; a second process counts the same, and a search has its stages."""
    spec = read_manifest(two_engines).encoder("layers2")
    with runtime.machine.powered(Hardware("cortex-a72", counting=True)):
        first, second = (instructions.encode(runtime, spec) for _ in range(2))
        search = instructions.search(runtime, spec, ["yeast and dough", "a knot in the rope"])
    medians = [[sorted(times)[len(times) // 2] for times in each.queries] for each in (first, second)]
    assert medians[0][0] < medians[0][1] < medians[0][2]
    assert medians[0] == pytest.approx(medians[1], rel=0.02)
    assert {"tokenize", "encode", "dense", "lexical", "fuse", "fetch"} <= set(search)
    parts = sum(count for stage, count in search.items() if stage != "total")
    # Between and around the stages: checks of arguments, the line for a processor, the keeping of times.
    assert 0.99 * parts <= search["total"] <= 1.05 * parts
