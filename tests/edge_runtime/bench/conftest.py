"""A report as a Raspberry Pi would write it, every figure chosen by hand."""

from __future__ import annotations

import pytest

from edge_runtime.bench.child import Memory
from edge_runtime.bench.report import Latency, Report, Setting
from edge_runtime.bench.start import Start
from edge_runtime.device import Condition, Device, Throttling


def latency(name: str, scale: float) -> Latency:
    """Figures in the same proportions for every stage."""
    return Latency(name, 500, scale, scale, 2 * scale, 3 * scale, 4 * scale, 5 * scale)


@pytest.fixture
def report() -> Report:
    """500 lexical searches on a Raspberry Pi 4 that was throttled before the run, not during it."""
    quiet = Condition(48.3, Throttling((), ("under-voltage",)), 0.25, 3_000_000_000)
    return Report(
        started="2026-01-02T03:04:05+00:00",
        valid=True,
        warnings=("too small a sample", "another thing"),
        setting=Setting(
            bundle="tiny",
            version="1.0.0",
            documents=1048,
            passages=2096,
            bytes=7_654_321,
            encoder="layers2",
            engine="onnxruntime 1.22.0",
            search="exact",
            mode="lexical",
            k=10,
            threads=2,
            queries=4,
            n=500,
            warm_up=50,
        ),
        device=Device(
            board="Raspberry Pi 4 Model B Rev 1.4",
            machine="aarch64",
            cpu="Cortex-A72",
            features=("asimd",),
            cores=4,
            page_bytes=4096,
            governor="ondemand",
            memory_bytes=3_978_727_424,
            os="Debian GNU/Linux 12 (bookworm)",
            kernel="6.6.31+rpt-rpi-v8",
            python="CPython 3.11.2",
            versions={"edge-runtime": "0.1.0", "numpy": "2.2.0"},
        ),
        before=quiet,
        after=Condition(None, None, None, None),
        stages=(latency("lexical", 0.5), latency("fetch", 0.25)),
        total=latency("total", 0.8),
        queries_per_second=1250.0,
        curve=tuple(point / 25 for point in range(101)),
        starts=(
            Start("full", 3, 812.5, 800.1, 999.9, 4, Memory(90_000_000, 88_000_000, 60_000_000, 40_000_000)),
            Start("size", 3, 612.5, 600.1, 799.9, 4, Memory(None, 88_000_000, None, None)),
        ),
    )
