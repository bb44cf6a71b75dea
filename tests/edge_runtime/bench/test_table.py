"""The report as a person reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_runtime.bench.report import Latency, Report
from edge_runtime.bench.table import table
from edge_runtime.device import Condition, Device, Throttling


def test_whole_table(report: Report) -> None:
    """Every line; 500 searches support p95 and not p99."""
    assert table(report) == WHOLE.strip("\n")


def test_plain_terminals_can_show_it(report: Report) -> None:
    """ASCII, no trailing blanks, and the figures within eighty columns."""
    text = table(report)
    assert text.isascii()
    assert all(line == line.rstrip() for line in text.splitlines())
    assert all(len(line) <= 80 for line in text.partition("\n\n")[2].splitlines())


@pytest.mark.parametrize(
    ("n", "marked"),
    [
        (19, ["p50", "p90", "p95", "p99"]),
        (20, ["p90", "p95", "p99"]),
        (100, ["p95", "p99"]),
        (200, ["p99"]),
        (1000, []),
    ],
)
def test_figures_on_too_few_samples_are_marked(report: Report, n: int, marked: list[str]) -> None:
    """By a tilde, stage by stage; mean and maximum are what they are."""
    lines = table(replace(report, total=Latency("total", n, 1, 1, 1, 1, 1, 1))).splitlines()
    heads = next(line for line in lines if line.startswith("ms ")).split()
    total = next(line for line in lines if line.startswith("total ")).split()
    found = [name for name, cell in zip(heads, total, strict=True) if cell.startswith("~")]
    assert found == marked


def test_nothing_known_and_nothing_started(report: Report) -> None:
    """Gaps say so; blocks without content are left out."""
    bare = Device("riscv64", "riscv64", None, (), None, None, None, None, None, "6.1", "CPython 3.12.0", {})
    text = table(replace(report, device=bare, starts=(), warnings=()))
    assert "board     riscv64, unknown of memory, pages of unknown\n" in text
    assert "cpu       ? x unknown, governor unknown\n" in text
    assert "features  unknown\n" in text
    assert "system    unknown, kernel 6.1, CPython 3.12.0\n" in text
    assert text.endswith("queries per second, one after another")


@pytest.mark.parametrize(
    ("throttling", "words"),
    [
        (None, "throttling unknown"),
        (Throttling((), ("throttled",)), "not throttled"),
        (Throttling(("under-voltage", "frequency capped"), ()), "under-voltage, frequency capped"),
    ],
)
def test_condition(report: Report, throttling: Throttling | None, words: str) -> None:
    """What holds back the clock now; what once did is the warnings' business."""
    text = table(replace(report, before=Condition(85.25, throttling, 1.0, 2_000_000)))
    assert f"before    85.2 C, {words}, load 1.00, 2.0 MB available\n" in text


WHOLE = """
bundle    tiny 1.0.0: 1,048 documents, 2,096 passages, 7.7 MB
run       2026-01-02T03:04:05+00:00, 500 searches, 4 different, after 50 to warm up
search    lexical, k 10, exact index, 2 threads
encoder   layers2 on onnxruntime 1.22.0
board     Raspberry Pi 4 Model B Rev 1.4, aarch64, 3,978.7 MB of memory, pages of 4 KiB
cpu       4 x Cortex-A72, governor ondemand
features  asimd
system    Debian GNU/Linux 12 (bookworm), kernel 6.6.31+rpt-rpi-v8, CPython 3.11.2
versions  edge-runtime 0.1.0, numpy 2.2.0
before    48.3 C, not throttled, load 0.25, 3,000.0 MB available
after     temperature unknown, throttling unknown, load unknown, unknown available

ms         n   mean    p50    p90    p95     p99    max
-------------------------------------------------------
lexical  500  0.500  0.500  1.000  1.500  ~2.000  2.500
fetch    500  0.250  0.250  0.500  0.750  ~1.000  1.250
-------------------------------------------------------
total    500  0.800  0.800  1.600  2.400  ~3.200  4.000

1,250.0 queries per second, one after another

process start to first answer, files cached, ms  n  median    min    max
every byte checked                               3   812.5  800.1  999.9
sizes checked                                    3   612.5  600.1  799.9

memory of that process, MB  queries     peak  resident  private    dirty
every byte checked                4     90.0      88.0     60.0     40.0
sizes checked                     4  unknown      88.0  unknown  unknown

warning: too small a sample
warning: another thing
"""
