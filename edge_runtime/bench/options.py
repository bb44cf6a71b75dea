"""Command-line arguments, defined once for all of ``edge-runtime`` and for benchmarks/latency.py.

Apart from `latency`, so that a program can offer them without loading the benchmark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

ENCODER_HELP = "the query encoder, or auto: the calibrated one, else the bundle's first (default: auto)"
THREADS_HELP = "engine threads a query (default: device.yaml's, else 1)"
BUDGET_MS = 10.0
"""Of a whole search, when nobody says."""

CALIBRATION_SEARCHES = 200
"""Of each encoder; enough for a median, on a slow board within a minute."""

MODES = ("hybrid", "dense", "lexical")


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The bundle, and whether a program reads the answer."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a bundle's directory, or the name of an installed one"
    )
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `latency.run_from` reads: the bundle and how to measure it."""
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="a bundle's directory, or the name of an installed one")
    add_queries(parser)
    add("-n", type=int, default=1000, metavar="N", help="searches to measure (default: %(default)s)")
    add("--warm-up", type=int, default=50, metavar="N", help="searches before those (default: %(default)s)")
    add("--mode", choices=MODES, default=MODES[0], help="how to search (default: %(default)s)")
    add("-k", type=int, default=10, metavar="K", help="documents a search (default: %(default)s)")
    add_rerank(parser)
    add("--encoder", metavar="ID", help=ENCODER_HELP)
    add("--threads", type=int, metavar="N", help=THREADS_HELP)
    add(
        "--cold-starts",
        type=int,
        default=5,
        metavar="N",
        help="new processes to time, for each way of opening; 0 for none (default: %(default)s)",
    )


def add_rerank(parser: argparse.ArgumentParser) -> None:
    """``--rerank`` and ``--rerank-depth N``, both into `rerank`: True, or how many; None without them."""
    # Not one option with an optional number: it would take the first word of a question for it.
    add = parser.add_mutually_exclusive_group().add_argument
    add(
        "--rerank",
        action="store_const",
        const=True,
        help="let the bundle's reranker order the first documents anew, as many as the bundle says",
    )
    add("--rerank-depth", dest="rerank", type=int, metavar="N", help="the same with the first N documents")


def add_queries(parser: argparse.ArgumentParser) -> None:
    """The file of queries, of every command that asks some."""
    parser.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="a query a line, or *.jsonl (default: the golden queries)",
    )
