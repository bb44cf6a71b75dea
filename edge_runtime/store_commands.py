"""The commands that change which bundles a device has: install, status, rollback, prune."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from edge_runtime.bench import options as bench_options
from edge_runtime.terminal import printable, to_json


def add(commands: Any) -> None:
    """Adds them to the command line."""
    _add_install(commands)
    _add_status(commands)
    _add_rollback(commands)
    _add_prune(commands)


def _add_install(commands: Any) -> None:
    summary = "install a bundle: proven on this device, then active at once, or not at all"
    parser = commands.add_parser("install", help=summary)
    parser.add_argument("source", metavar="FILE", help="a .edge file, a bundle's directory, or - for stdin")
    parser.add_argument("--allow-downgrade", action="store_true", help="also install an older version")
    parser.add_argument("--dry-run", action="store_true", help="check version and space, and change nothing")
    bench_options.add_json(parser)
    parser.set_defaults(run=_install)


def _add_status(commands: Any) -> None:
    parser = commands.add_parser("status", help="list the installed bundles")
    parser.add_argument("name", nargs="?", metavar="NAME", help="only those of this name")
    bench_options.add_json(parser)
    parser.set_defaults(run=_status)


def _add_rollback(commands: Any) -> None:
    parser = commands.add_parser("rollback", help="go back to the previous bundle of a name")
    parser.add_argument("name", metavar="NAME", help="of the bundle")
    parser.set_defaults(run=_rollback)


def _add_prune(commands: Any) -> None:
    summary = "remove the bundles of a name but for the current and the previous one"
    parser = commands.add_parser("prune", help=summary)
    parser.add_argument("name", metavar="NAME", help="of the bundles")
    parser.add_argument("--keep", type=int, default=0, metavar="N", help="keep so many others, the newest")
    parser.set_defaults(run=_prune)


def _install(options: argparse.Namespace) -> None:
    from edge_runtime import store

    outcome = store.install(
        options.source,
        allow_downgrade=options.allow_downgrade,
        dry_run=options.dry_run,
        progress=_tell,
    )
    bundle = outcome.bundle
    if options.json:
        facts = {
            "name": bundle.name,
            "version": bundle.version,
            "directory": str(bundle.directory),
            "before": outcome.before,
            "written": outcome.written,
            "activated": outcome.activated,
        }
        print(to_json(facts))
        return
    if options.dry_run:
        said = "can be installed"
    elif outcome.activated:
        said = f"answers now, {outcome.written / 1e6:.1f} MB written"
    else:
        said = "answered already"
    before = f" (before: {outcome.before})" if outcome.before and outcome.activated else ""
    print(f"{bundle.name} {bundle.version}: {said}{before}")


def _status(options: argparse.Namespace) -> None:
    from edge_runtime import installed

    names = [options.name] if options.name else installed.names()
    found = [each for name in names for each in installed.of(name)]
    if options.json:
        facts = [
            {
                "name": each.name,
                "version": each.version,
                "role": each.role or None,
                "directory": str(each.directory),
            }
            for each in found
        ]
        print(to_json({"bundles": facts}))
        return
    for each in found:
        print(printable(f"{each.name} {each.version:<10} {each.role or 'kept':<8} {each.directory}"))
    if not found:
        print("nothing is installed" if not options.name else printable(f"{options.name}: not installed"))


def _rollback(options: argparse.Namespace) -> None:
    from edge_runtime import store

    bundle = store.rollback(options.name)
    print(f"{bundle.name} {bundle.version}: answers now")


def _prune(options: argparse.Namespace) -> None:
    from edge_runtime import store

    gone = store.prune(options.name, keep=options.keep)
    for each in gone:
        print(f"{each.name} {each.version}: removed")
    if not gone:
        print("nothing to remove")


def _tell(step: str) -> None:
    if sys.stderr.isatty():
        print(f"{step} …", file=sys.stderr)
