"""Draws a latency report: where the time of a search goes, and how it is distributed.

The device writes JSON (`latency.py --json FILE`); a machine with matplotlib draws it:

    python benchmarks/plots.py latency.json latency.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge_runtime.bench.report import Report, from_json
from edge_runtime.errors import Error


def draw(report: Report, path: Path) -> None:
    """Writes `report` as a PNG of 1600 x 640 pixels.

    Raises:
        OSError: `path` cannot be written.
    """
    figure = Figure(figsize=(10, 4), dpi=160, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_stages(left, report)
    _draw_distribution(right, report)
    setting = report.setting
    title = (
        f"{setting.bundle} {setting.version}, {setting.passages:,} passages, {setting.mode}, "
        f"{setting.encoder} on {setting.engine}, {setting.threads} thread(s)\n{report.device.board}"
    )
    figure.suptitle(title if report.valid else f"{title}: INVALID, throttled", fontsize=10)
    figure.savefig(path, format="png")


def _draw_stages(axes: Axes, report: Report) -> None:
    stages = [*report.stages, report.total]
    names = [stage.name for stage in stages]
    axes.barh(names, [stage.p95 for stage in stages], color="#c6d9ec", label="p95")
    axes.barh(names, [stage.p50 for stage in stages], color="#2a6099", height=0.5, label="p50")
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_distribution(axes: Axes, report: Report) -> None:
    axes.plot(report.curve, range(len(report.curve)), color="#2a6099")
    total = report.total
    for percent, value in ((50, total.p50), (95, total.p95), (99, total.p99)):
        axes.plot(value, percent, "o", color="#c0392b", markersize=4)
        axes.annotate(
            f"p{percent}  {value:.2f} ms",
            (value, percent),
            (6, -4),
            textcoords="offset points",
            va="top",
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, whole search")
    axes.set_ylabel(f"% of {total.n:,} searches at most so long")
    axes.spines[["top", "right"]].set_visible(False)


def main(argv: Sequence[str] | None = None) -> int:
    """Draws the report in a JSON file; 1 with one line on stderr when it cannot."""
    parser = argparse.ArgumentParser(prog="plots.py", description="Plot the JSON of a latency run.")
    parser.add_argument("report", type=Path, metavar="FILE", help="what latency.py --json wrote")
    parser.add_argument("png", type=Path, metavar="PNG", help="the picture to write")
    args = parser.parse_args(argv)
    try:
        draw(from_json(args.report.read_text("utf-8")), args.png)
    except (Error, OSError, UnicodeDecodeError) as error:
        print(f"plots.py: {args.report}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
