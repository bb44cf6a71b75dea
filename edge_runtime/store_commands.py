"""Commands about what is installed: install, receive, repair, status, rollback, mark-good, prove, prune."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edge_runtime.bench import options as bench_options
from edge_runtime.errors import Error, StoreError
from edge_runtime.terminal import Percentage, printable, to_json

if TYPE_CHECKING:
    from edge_runtime.store.install import Outcome, Step
    from edge_runtime.store.prune import Pruned
    from edge_runtime.store.status import Status

_EVENTS = 5


def add(commands: Any) -> None:
    """Adds them to the command line."""
    _add_install(commands)
    _add_repair(commands)
    _add_receive(commands)
    _add_status(commands)
    _add_rollback(commands)
    _add_mark_good(commands)
    _add_prove(commands)
    _add_prune(commands)


def _add_install(commands: Any) -> None:
    summary = "install a bundle: the old one answers until the new one is proven on this device"
    parser = commands.add_parser("install", help=summary)
    parser.add_argument("source", metavar="FILE", help="a .edge file, - for standard input, or a directory")
    parser.add_argument("--dry-run", action="store_true", help="check all of it and change nothing")
    _add_conditions(parser)
    bench_options.add_json(parser)
    parser.set_defaults(run=_install)


def _add_receive(commands: Any) -> None:
    summary = "what edge-build flash talks to: installs a bundle of which only missing files are sent"
    parser = commands.add_parser("receive", help=summary)
    _add_conditions(parser)
    parser.add_argument(
        "--delta", action="store_true", help="let the sender try rsync with files of the bundle in use"
    )
    parser.set_defaults(run=_receive)


def _add_conditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-downgrade", action="store_true", help="even if a newer version is installed")
    parser.add_argument(
        "--no-self-test",
        action="store_true",
        help="leave out the golden queries: for a disk of another device",
    )
    parser.add_argument(
        "--tries",
        type=int,
        default=0,
        metavar="N",
        help="roll back by itself when it was opened N times without mark-good (default: never)",
    )


def _add_repair(commands: Any) -> None:
    parser = commands.add_parser(
        "repair", help="replace what is damaged of an installed bundle, file by file"
    )
    parser.add_argument(
        "source", metavar="FILE", help="the .edge file it came from, -, or the same directory"
    )
    bench_options.add_json(parser)
    parser.set_defaults(run=_repair)


def _add_status(commands: Any) -> None:
    parser = commands.add_parser("status", help="say what is installed, what is in use and what was tried")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of this bundle only")
    bench_options.add_json(parser)
    parser.set_defaults(run=_status)


def _add_rollback(commands: Any) -> None:
    parser = commands.add_parser("rollback", help="go back to the bundle that was in use before")
    _add_name(parser)
    parser.set_defaults(run=_rollback)


def _add_mark_good(commands: Any) -> None:
    summary = "keep the bundle that is in use: ends what install --tries began"
    parser = commands.add_parser("mark-good", help=summary)
    _add_name(parser)
    parser.set_defaults(run=_mark_good)


def _add_prove(commands: Any) -> None:
    summary = "at a device's start: verify what is in use; what is on trial and passes is marked good"
    parser = commands.add_parser("prove", help=summary)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of this bundle only")
    bench_options.add_json(parser)
    parser.set_defaults(run=_prove)


def _add_prune(commands: Any) -> None:
    parser = commands.add_parser("prune", help="remove old bundles that nobody has open")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of this bundle only")
    parser.add_argument(
        "--keep", type=int, default=2, metavar="N", help="bundles to keep of each name (default: %(default)s)"
    )
    bench_options.add_json(parser)
    parser.set_defaults(run=_prune)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of an installed bundle")
    bench_options.add_json(parser)


def _install(options: argparse.Namespace) -> None:
    from edge_runtime import self_test
    from edge_runtime.store.install import install

    progress = _Progress()
    try:
        outcome = install(
            options.source,
            self_test=None if options.no_self_test else self_test.replay,
            allow_downgrade=options.allow_downgrade,
            dry_run=options.dry_run,
            tries=options.tries,
            progress=progress,
        )
    finally:
        progress.clear()
    print(to_json(dataclasses.asdict(outcome)) if options.json else _sentence(outcome))


def _repair(options: argparse.Namespace) -> None:
    from edge_runtime.store.mend import repair

    progress = Percentage("comparing:")
    try:
        repaired = repair(options.source, progress=progress)
    finally:
        progress.clear()
    if options.json:
        print(to_json(dataclasses.asdict(repaired)))
        return
    what = f"{repaired.name} {repaired.version}"
    for name in repaired.files:
        print(printable(f"{name}: replaced"))
    print(
        f"{what}: {repaired.written / 1e6:.1f} MB written" if repaired.files else f"{what} is as it was built"
    )


def _receive(options: argparse.Namespace) -> None:
    from edge_runtime import self_test
    from edge_runtime.store.receive import Line, receive

    if sys.stdin.isatty():
        raise StoreError("edge-build flash, on a desktop, runs this; to install a file: edge-runtime install")
    receive(
        Line(sys.stdin.fileno(), sys.stdout.fileno()),
        self_test=None if options.no_self_test else self_test.replay,
        allow_downgrade=options.allow_downgrade,
        tries=options.tries,
        delta=options.delta,
    )


def _status(options: argparse.Namespace) -> None:
    from edge_runtime.store.status import status

    found = status(options.name)
    if options.json:
        print(to_json([dataclasses.asdict(one) for one in found]))
        return
    for one in found:
        print("\n".join(printable(line) for line in _lines(one)))
    if not found:
        print("nothing is installed")


def _rollback(options: argparse.Namespace) -> None:
    from edge_runtime.store.switch import rollback

    bundle = rollback(options.name)
    _tell(options, {"name": options.name, "current": bundle}, f"{options.name}: rolled back to {bundle}")


def _mark_good(options: argparse.Namespace) -> None:
    from edge_runtime.store.switch import mark_good

    bundle = mark_good(options.name)
    _tell(options, {"name": options.name, "current": bundle}, f"{options.name}: {bundle} is good")


def _prove(options: argparse.Namespace) -> None:
    from edge_runtime import self_test
    from edge_runtime.store.prove import prove

    proofs = prove(options.name, self_test=self_test.replay)
    if options.json:
        print(to_json([dataclasses.asdict(one) for one in proofs]))
    else:
        for one in proofs:
            good = "as built" + (", marked good" if one.marked_good else "")
            print(printable(f"{one.name}: {one.bundle or 'none in use'}: {one.problem or good}"))
    failed = sum(one.problem is not None for one in proofs)
    if failed:
        raise Error(
            f"{failed} of {len(proofs)} bundles are not as they should be; edge-runtime status has more"
        )


def _prune(options: argparse.Namespace) -> None:
    from edge_runtime.store.prune import prune

    pruned = prune(options.name, keep=options.keep)
    if options.json:
        print(to_json([dataclasses.asdict(one) for one in pruned]))
    else:
        _tell_pruned(pruned)
    broken = sum(one.problem is not None for one in pruned)
    if broken:
        raise Error(f"{broken} of {len(pruned)} names cannot be pruned; edge-runtime status has more")


def _tell_pruned(pruned: Sequence[Pruned]) -> None:
    for one in pruned:
        for bundle in one.removed:
            print(f"{one.name}: {bundle} removed")
        for bundle in one.in_use:
            print(f"{one.name}: {bundle} kept, a process has it open")
        if one.problem:
            print(printable(f"{one.name}: all kept: {one.problem}"))
    if not any(one.removed or one.in_use or one.problem for one in pruned):
        print("nothing to remove")


def _tell(options: argparse.Namespace, facts: dict[str, str], sentence: str) -> None:
    print(to_json(facts) if options.json else sentence)


def _sentence(outcome: Outcome) -> str:
    what = f"{outcome.name} {outcome.version}"
    if outcome.done == "nothing":
        return f"{what} is installed already, as built; nothing to do"
    sizes = f"{outcome.written / 1e6:.1f} MB new, {outcome.linked / 1e6:.1f} MB that the device has already"
    before = f"; before it: {outcome.previous}" if outcome.previous else ""
    if outcome.done == "would install":
        return f"{what} is sound and would be installed: {sizes}; nothing was changed"
    return f"{what} installed: {sizes}{before}"


def _lines(one: Status) -> Iterator[str]:
    yield f"{one.name}: {one.current or 'none in use'}"
    if one.problem:
        yield f"  {one.problem}"
    if one.trial:
        yield f"  on trial: opened {one.trial.tries} of {one.trial.limit} times; mark-good ends it"
    for kept in one.bundles:
        role = {one.current: " (in use)", one.previous: " (rollback goes back to it)"}.get(kept.bundle, "")
        size = "manifest damaged" if kept.bytes is None else f"{kept.bytes / 1e6:.1f} MB"
        yield f"  {kept.bundle}: {size}{role}"
    for event in one.events[:_EVENTS]:
        yield f"  {event.when} {event.action} {event.bundle}: {event.result}"


class _Progress:
    """A step on a line of its own, with how much of it is done, on a terminal only."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._percentage = Percentage("")

    def __call__(self, step: Step, done: int, total: int) -> None:
        if step is not self._step:
            self.clear()
            self._step, self._percentage = step, Percentage(f"{step.value}:")
        if total:
            self._percentage(done, total)
        elif sys.stderr.isatty():
            print(f"{step.value} …", file=sys.stderr)

    def clear(self) -> None:
        self._percentage.clear()
