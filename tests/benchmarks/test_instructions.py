"""The table of instructions: its shape here, its figures on the emulated device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bench.lengths import Timing
from edge_runtime.bundle import read_manifest

Script = Callable[[str], ModuleType]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("before\n<!-- instructions -->\n<!-- /instructions -->\nafter\n", "utf-8")
    return path


def test_a_row_for_each_encoder(script: Script, bundle: Path) -> None:
    """Millions of instructions, for each processor; then the stages of the first encoder's search."""
    instructions = script("instructions")
    timing = Timing(load=1234.5, first=9.0, queries=[[7.0, 8.25, 9.0], [16.0] * 3, [32.0] * 3])
    search = {"total": 40_250_000.0, "encode": 30_000_000.0, "dense": 10_250_000.0}
    one = instructions.Counted("numpy 2", 0.99876, timing, search)
    manifest = read_manifest(bundle)
    counted = {cpu: {"layers2": one, "static": one} for cpu in ("cortex-a72", "cortex-a76")}
    lines = instructions.table(manifest, counted).splitlines()
    assert lines[0].startswith(
        "| encoder | engine | a72 load | a72 8 | a72 16 | a72 32 | a72 search | a72 cosine |"
    )
    cells = "1234 | 8.25 | 16.00 | 32.00 | 40.2 | 0.9988"
    assert lines[2:] == [f"| {name} | numpy 2 | {cells} | {cells} |" for name in ("layers2", "static")]
    assert instructions.stages(manifest, counted).splitlines()[2:] == [
        "| processor | encode | dense | total |",
        "| --- | ---: | ---: | ---: |",
        "| cortex-a72 | 30.00 | 10.25 | 40.25 |",
        "| cortex-a76 | 30.00 | 10.25 | 40.25 |",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["/gone"], "/gone"), (["{bundle}", "--section", "speed"], "expected a line <!-- speed -->")],
)
def test_what_it_cannot_count(
    script: Script,
    bundle: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    """One line, before a machine is made."""
    given = [argument.format(bundle=bundle) for argument in arguments]
    assert script("instructions").main([*given, "--results", str(place)]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
