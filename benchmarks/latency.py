"""How fast a bundle answers on this machine: `edge-runtime bench` with files for the figures and a plot.

python benchmarks/latency.py build/python-library/bundle --json latency.json --png latency.png
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from plots import draw

from edge_runtime.bench import latency, options
from edge_runtime.bench.report import Report, to_json
from edge_runtime.bench.table import table
from edge_runtime.errors import Error

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 0 when it measured, 1 with one line on stderr when it could not."""
    args = _parser().parse_args(argv)
    try:
        _check_plot(args.png)
        report = latency.run_from(args, progress=_show if sys.stderr.isatty() else None)
        _clear()
        _write(report, args)
    except (Error, OSError) as error:
        print(f"latency.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("latency.py: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latency.py", description="Measure a bundle's latency on this machine."
    )
    options.add_arguments(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="write the report there; - prints it instead of the table"
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="plot the report there (needs matplotlib)")
    return parser


def _write(report: Report, args: argparse.Namespace) -> None:
    """The table first, for a file that cannot be written must not lose the figures."""
    if args.json == "-":
        print(to_json(report))
    else:
        print(table(report))
        if args.json is not None:
            Path(args.json).write_text(to_json(report) + "\n", "utf-8")
    if args.png is not None:
        draw(report, args.png)


def _check_plot(path: Path | None) -> None:
    """Before the minutes of measuring, not after them."""
    if path is not None and importlib.util.find_spec("matplotlib") is None:
        raise Error(
            "--png: matplotlib is not installed here; give --json FILE instead "
            "and draw that elsewhere: python benchmarks/plots.py FILE PNG"
        )


def _show(doing: str, done: int, total: int) -> None:
    print(f"\r\x1b[K{doing} {done}/{total}", end="\r", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\x1b[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
