"""The command line of ``edge-build flash``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from build_tools.errors import FlashError

_TO = (
    "ssh://[user@]host[:port][/store], a mounted root file system, store:FOLDER (EDGE_RUNTIME_HOME) or "
    "stick:FOLDER; several may be given"
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds it to the command line."""
    parser = commands.add_parser(
        "flash", help="bring a bundle to devices; only files that they lack are sent"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory, or its .edge file")
    parser.add_argument("--to", nargs="+", action="extend", required=True, metavar="TARGET", help=_TO)
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="even where a newer version is installed"
    )
    parser.add_argument("--no-self-test", action="store_true", help="leave out the golden queries")
    parser.add_argument(
        "--tries",
        type=_whole,
        default=0,
        metavar="N",
        help="roll back by itself when it was opened N times without mark-good (default: never)",
    )
    parser.add_argument(
        "--retries",
        type=_whole,
        default=2,
        metavar="N",
        help="go on that often by itself where a line broke (default: %(default)s)",
    )
    parser.add_argument(
        "--no-delta", action="store_true", help="send changed files whole, even where both sides have rsync"
    )
    parser.add_argument(
        "--bootstrap",
        action="store_true",
        help="first bring the runtime itself to devices that ssh reaches; they need Python and no network",
    )
    parser.add_argument(
        "--service",
        action="store_true",
        help="have systemd prove the bundles each time a device starts; a trial that passes is marked good",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_flash)


def _flash(options: argparse.Namespace) -> None:
    from rich.console import Console

    from build_tools.flash import source, summary, targets
    from build_tools.flash.bootstrap import Bootstrap
    from build_tools.flash.run import Conditions, flash
    from build_tools.flash.wheelhouse import extras_for

    given = [targets.parse(text) for text in _once(options.to)]
    for option in ("bootstrap", "service"):
        if getattr(options, option) and not any(isinstance(each, targets.SshTarget) for each in given):
            raise FlashError(f"--{option}: expected a device that ssh reaches (ssh://…) in --to; found none")
    conditions = Conditions(
        allow_downgrade=options.allow_downgrade,
        self_test=not options.no_self_test,
        tries=options.tries,
        retries=options.retries,
        delta=not options.no_delta,
        service=options.service,
    )
    with (
        source.opened(options.bundle) as bundle,
        tempfile.TemporaryDirectory(prefix="edge-flash-") as wheels,
        summary.bars(Console(stderr=True)) as progress,
    ):
        extras = extras_for(bundle.manifest, signed=bundle.signature is not None)
        runtime = Bootstrap(extras, Path(wheels)) if options.bootstrap else None
        results = flash(bundle, given, conditions, progress=progress, bootstrap=runtime)
    if options.json:
        print(json.dumps([dataclasses.asdict(each) for each in results], indent=2))
    else:
        # In a file or a pipe nothing is cut or wrapped; rich would take those for 80 columns wide.
        Console(width=None if sys.stdout.isatty() else 1000).print(summary.table(results))
    if any(each.state == "interrupted" for each in results):
        raise KeyboardInterrupt
    failed = sum(each.failed for each in results)
    if failed:
        raise FlashError(f"{failed} of {len(results)} targets failed; the same command tries those again")


def _once(texts: Sequence[str]) -> Sequence[str]:
    repeated = {text for text in texts if texts.count(text) > 1}
    if repeated:
        raise FlashError(f"--to: {', '.join(sorted(repeated))} stands there twice")
    return texts


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 1000; found {text!r}")
    return int(text)
