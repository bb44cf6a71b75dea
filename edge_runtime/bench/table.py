"""The benchmark's report for a plain terminal: ASCII, about eighty columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_runtime.bench.report import PERCENTILES, Latency, Report, samples_needed
from edge_runtime.bench.start import Start
from edge_runtime.device import Condition

_UNKNOWN = "unknown"
_CHECKS = {"full": "every byte checked", "size": "sizes checked"}


def table(report: Report) -> str:
    """Header, stages, start-up and memory, warnings; figures on too few samples are marked ``~``."""
    blocks = [_header(report), _stages(report), _starts(report), _warnings(report)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _header(report: Report) -> list[str]:
    setting, device = report.setting, report.device
    size = f"{setting.documents:,} documents, {setting.passages:,} passages, {megabytes(setting.bytes)}"
    board = ", ".join(dict.fromkeys((device.board, device.machine)))
    cores = device.cores or "?"
    clock = f"governor {device.governor or _UNKNOWN}"
    page = f"{device.page_bytes // 1024} KiB" if device.page_bytes else _UNKNOWN
    asked = f"{setting.n:,} searches, {setting.queries:,} different, after {setting.warm_up:,} to warm up"
    reranked = f", top {setting.rerank} reranked" if setting.rerank else ""
    rows = [
        ("bundle", f"{setting.bundle} {setting.version}: {size}"),
        ("run", f"{report.started}, {asked}"),
        (
            "search",
            f"{setting.mode}{reranked}, k {setting.k}, {setting.search} index, "
            f"{_plural(setting.threads, 'thread')}",
        ),
        ("encoder", f"{setting.encoder} on {setting.engine}"),
        ("board", f"{board}, {megabytes(device.memory_bytes)} of memory, pages of {page}"),
        ("cpu", f"{cores} x {device.cpu or _UNKNOWN}, {clock}"),
        ("features", " ".join(device.features) or _UNKNOWN),
        ("system", f"{device.os or _UNKNOWN}, kernel {device.kernel}, {device.python}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in device.versions.items())),
        ("before", _condition(report.before)),
        ("after", _condition(report.after)),
    ]
    return columns(rows, align="<<")


def _condition(condition: Condition) -> str:
    heat = f"{condition.celsius:.1f} C" if condition.celsius is not None else f"temperature {_UNKNOWN}"
    load = f"load {condition.load:.2f}" if condition.load is not None else f"load {_UNKNOWN}"
    if condition.throttling is None:
        clock = f"throttling {_UNKNOWN}"
    else:
        clock = ", ".join(condition.throttling.now) or "not throttled"
    return f"{heat}, {clock}, {load}, {megabytes(condition.available_bytes)} available"


def _stages(report: Report) -> list[str]:
    heads = ["ms", "n", "mean", *(f"p{percentile}" for percentile in PERCENTILES), "max"]
    rows = [heads, *(_latency(stage) for stage in report.stages), _latency(report.total)]
    lines = columns(rows, align="<" + ">" * 7)
    rule = "-" * max(len(line) for line in lines)
    speed = f"{report.queries_per_second:,.1f} queries per second, one after another"
    return [lines[0], rule, *lines[1:-1], rule, lines[-1], "", speed]


def _latency(latency: Latency) -> list[str]:
    values = (latency.p50, latency.p90, latency.p95, latency.p99)
    marked = [
        f"{'~' if latency.n < samples_needed(percentile) else ''}{value:.3f}"
        for percentile, value in zip(PERCENTILES, values, strict=True)
    ]
    return [latency.name, str(latency.n), f"{latency.mean:.3f}", *marked, f"{latency.max:.3f}"]


def _starts(report: Report) -> list[str]:
    if not report.starts:
        return []
    times = [["process start to first answer, files cached, ms", "n", "median", "min", "max"]]
    times += [
        [_CHECKS[s.verify], str(s.n), *(f"{t:.1f}" for t in (s.median, s.min, s.max))] for s in report.starts
    ]
    memory = [["memory of that process, MB", "queries", "peak", "resident", "private", "dirty"]]
    memory += [_memory(start) for start in report.starts]
    return [*columns(times, align="<>>>>"), "", *columns(memory, align="<>>>>>")]


def _memory(start: Start) -> list[str]:
    held = (start.memory.peak, start.memory.resident, start.memory.private, start.memory.dirty)
    figures = [f"{value / 1e6:.1f}" if value is not None else _UNKNOWN for value in held]
    return [_CHECKS[start.verify], str(start.queries), *figures]


def _warnings(report: Report) -> list[str]:
    return [f"warning: {warning}" for warning in report.warnings]


def columns(rows: Sequence[Sequence[str]], *, align: str) -> list[str]:
    """Lines of cells as wide as the widest in their column; `align` has ``<`` or ``>`` for each column."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [_line(zip(row, align, widths, strict=True)) for row in rows]


def _line(cells: Iterable[tuple[str, str, int]]) -> str:
    return "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()


def megabytes(count: int | None) -> str:
    """Bytes as people read them."""
    return f"{count / 1e6:,.1f} MB" if count is not None else _UNKNOWN


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
