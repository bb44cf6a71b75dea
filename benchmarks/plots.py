"""Draws a latency report: where the time of a search goes, and how it is distributed.

The device writes JSON (`latency.py --json FILE`); a machine with matplotlib draws it:

    python benchmarks/plots.py latency.json latency.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bench.report import Report, from_json, samples_needed
from edge_runtime.errors import Error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DARK, _LIGHT, _MARK = "#2a6099", "#c6d9ec", "#c0392b"
_LOGARITHMIC_FROM = 10.0


def draw(report: Report, path: Path) -> None:
    """Writes `report` as a PNG of 1600 x 640 pixels.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        OSError: `path` cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=160, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_stages(left, report)
    _draw_distribution(right, report)
    setting = report.setting
    threads = f"{setting.threads} thread{'' if setting.threads == 1 else 's'}"
    title = (
        f"{setting.bundle} {setting.version}, {setting.passages:,} passages, {setting.mode}, "
        f"{setting.encoder} on {setting.engine}, {threads}\n{report.device.board}"
    )
    figure.suptitle(title if report.valid else f"{title}: INVALID, throttled", fontsize=10)
    figure.savefig(path, format="png")


def _draw_stages(axes: Axes, report: Report) -> None:
    stages = [*report.stages, report.total]
    names = [stage.name for stage in stages]
    axes.barh(names, [stage.p95 for stage in stages], color=_LIGHT, label="p95")
    axes.barh(names, [stage.p50 for stage in stages], color=_DARK, height=0.5, label="p50")
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds, each stage and the whole search")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_distribution(axes: Axes, report: Report) -> None:
    total = report.total
    axes.plot(report.curve, range(len(report.curve)), color=_DARK)
    for percent, value in ((50, total.p50), (95, total.p95), (99, total.p99)):
        axes.plot(value, percent, "o", color=_MARK, markersize=4, label=_figure(percent, value, total.n))
    axes.legend(frameon=False, loc="lower right", handlelength=0.5, prop={"family": "monospace", "size": 8})
    if total.max > _LOGARITHMIC_FROM * total.p50:
        _scale_logarithmically(axes)
    axes.set_xlabel("milliseconds, whole search")
    axes.set_ylabel(f"% of {total.n:,} searches done")
    axes.spines[["top", "right"]].set_visible(False)


def _figure(percent: int, value: float, n: int) -> str:
    doubt = "~" if n < samples_needed(percent) else ""
    return f"p{percent} {doubt + format(value, '.2f'):>8} ms"


def _scale_logarithmically(axes: Axes) -> None:
    """Ticks at 1, 2, 5, 10 … in plain figures; matplotlib's own would read 2 x 10^0."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Draws the report in a JSON file; 1 with one line on stderr when it cannot."""
    parser = argparse.ArgumentParser(prog="plots.py", description="Plot the JSON of a latency run.")
    parser.add_argument("report", type=Path, metavar="FILE", help="what latency.py --json wrote")
    parser.add_argument("png", type=Path, metavar="PNG", help="the picture to write")
    args = parser.parse_args(argv)
    try:
        draw(_read(args.report), args.png)
    except (Error, OSError) as error:
        print(f"plots.py: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "matplotlib").partition(".")[0]
        print(f"plots.py: {package} is not installed here; pip install {package}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path) -> Report:
    try:
        return from_json(path.read_bytes().decode("utf-8"))
    except (Error, UnicodeDecodeError) as error:
        raise Error(f"{path}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
