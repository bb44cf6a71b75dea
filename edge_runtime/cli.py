"""edge-runtime: install a bundle, verify it, ask it questions, measure it, fit it to its device."""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import edge_runtime
from edge_runtime import schema, search_commands, store_commands
from edge_runtime.bench import options as bench_options
from edge_runtime.errors import DeviceWarning, Error
from edge_runtime.signature import key_name
from edge_runtime.terminal import printable, to_json

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 for an error of ours, 2 usage, 130 Ctrl-C."""
    _open_closed_streams()
    options = _parse(arguments)
    _accept_any_text()
    try:
        with _warnings_on_a_line():
            options.run(options)
        sys.stdout.flush()
    except Error as error:
        lines = str(error).splitlines()  # with names from bundles in them, whoever made those
        print("edge-runtime:", "\n".join(map(printable, lines)), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has what it wanted
        _silence_output()
    except OSError as error:  # a full disk under the output
        print(f"edge-runtime: {error}", file=sys.stderr)
        _silence_output()
        return FAILED
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Lets the question stand behind options, where argparse does not look for a list of words."""
    parser = _parser()
    options, words = parser.parse_known_args(arguments)
    literal = words[:1] == ["--"]
    if words and not (hasattr(options, "query") and (literal or all(map(_is_word, words)))):
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    if words:
        options.query += words[literal:]
    return options


def _is_word(argument: str) -> bool:
    """Whether it is none of an option's: a number below zero is a word."""
    return argument[:1] != "-" or argument[1:2].isdigit()


def _open_closed_streams() -> None:
    """Python has None in place of those that the caller closed: nothing is read there, nothing goes there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest descriptor that is free: its own, so that no file of the bundle gets it.
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode, closefd=False))  # noqa: SIM115


def _accept_any_text() -> None:
    """Neither a query in another encoding nor a narrow terminal may end in a traceback."""
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


@contextmanager
def _warnings_on_a_line() -> Iterator[None]:
    """Ours go to people, without the place in the code; each is said once."""
    said = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            print(f"edge-runtime: {printable(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", DeviceWarning)
        warnings.showwarning = show
        yield


def _silence_output() -> None:
    """Or the interpreter flushes into the broken pipe again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-runtime", description=__doc__)
    parser.add_argument("--version", action="version", version=f"edge-runtime {edge_runtime.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_info(commands)
    _add_verify(commands)
    _add_doctor(commands)
    search_commands.add(commands)
    store_commands.add(commands)
    _add_bench(commands)
    _add_calibrate(commands)
    return parser


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="say what a bundle holds, without checking its bytes")
    bench_options.add_bundle(parser)
    parser.set_defaults(run=_of_directory(_info))


def _add_verify(commands: Any) -> None:
    parser = commands.add_parser("verify", help="hash every file and replay the golden queries")
    bench_options.add_bundle(parser)
    parser.add_argument("--files-only", action="store_true", help="leave out the golden queries")
    parser.set_defaults(run=_of_directory(_verify))


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="say what this device has, and lacks for a bundle")
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="look at what this one will need, too")
    bench_options.add_json(parser)
    parser.set_defaults(run=_of_directory(_doctor))


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser("bench", help="measure latency, start-up and memory on this machine")
    bench_options.add_arguments(parser)
    bench_options.add_json(parser)
    parser.set_defaults(run=_of_directory(_bench))


def _add_calibrate(commands: Any) -> None:
    summary = "measure every encoder on this device; from then on the best within the budget is used"
    parser = commands.add_parser("calibrate", help=summary)
    bench_options.add_bundle(parser)
    parser.add_argument(
        "--budget-ms",
        type=float,
        default=bench_options.BUDGET_MS,
        metavar="MS",
        help="for the median search, words and meaning together (default: %(default)g)",
    )
    bench_options.add_queries(parser)
    parser.add_argument(
        "-n",
        type=int,
        default=bench_options.CALIBRATION_SEARCHES,
        metavar="N",
        help="searches to measure, an encoder (default: %(default)s)",
    )
    parser.set_defaults(run=_of_directory(_calibrate))


def _of_directory(run: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], None]:
    """`run` with the directory of an installed bundle where its name was given."""

    def located(options: argparse.Namespace) -> None:
        from edge_runtime.store import layout

        if options.bundle is not None:
            options.bundle = layout.located(options.bundle)
        run(options)

    return located


def _info(options: argparse.Namespace) -> None:
    from edge_runtime import choice, device_config, facts
    from edge_runtime.bundle import read_manifest

    manifest = read_manifest(options.bundle)
    chosen = choice.automatic(manifest, Path(options.bundle), config=device_config.read())
    if options.json:
        auto = {"encoder": chosen.encoder, "calibrated": bool(chosen.calibration), "reason": chosen.reason}
        print(to_json({"auto": auto, **schema.encode_fields(manifest)}))
        return
    for name, value in facts.of(manifest, chosen):
        print(f"{name:<10} {printable(value)}")


def _verify(options: argparse.Namespace) -> None:
    from edge_runtime import device_config, self_test
    from edge_runtime.bundle import Bundle, check_signer
    from edge_runtime.store import layout

    bundle = Bundle.open(options.bundle, verify="full")
    layout.check_manifest(bundle.root)
    signed = check_signer(bundle.root, device_config.read().keys)
    manifest = bundle.manifest
    bundle.close()
    outcome = None if options.files_only else self_test.replay(options.bundle)
    total = sum(entry.size for entry in manifest.files)
    files = len(manifest.files)
    if options.json:
        facts = {"name": manifest.name, "version": manifest.version, "files": files, "bytes": total}
        signer = None if signed is None else {"key": key_name(signed.key_id), "comment": signed.comment}
        tested = {} if outcome is None else {"golden": dataclasses.asdict(outcome)}
        print(to_json(facts | {"signer": signer} | tested))
        return
    print(f"{manifest.name} {manifest.version}: {files} files, {total / 1e6:.1f} MB, as built")
    for each in outcome.replays if outcome else ():
        cosine = f"cosine {each.cosine:.4f}"
        print(f"{each.encoder}: {each.queries} golden queries as built, {cosine} ({each.engine})")
    if outcome and (pairs := outcome.reranker):
        figures = f"{pairs.pairs} golden pairs as built, scores to {pairs.deviation:.4f}"
        print(f"reranker: {figures} ({pairs.engine})")
    for name, reason in outcome.skipped.items() if outcome else ():
        print(f"{name}: not tested, it {reason}")
    if signed:
        print(printable(f"signed by {key_name(signed.key_id)}: {signed.comment}"))
    else:
        print("not checked: who made it, for device.yaml trusts no key")


def _doctor(options: argparse.Namespace) -> None:
    from edge_runtime import device, doctor, probe
    from edge_runtime.bundle import read_manifest

    manifest = read_manifest(options.bundle) if options.bundle else None
    asked, config = doctor.configuration()
    signed = doctor.signature(Path(options.bundle), config) if options.bundle else None
    trusted = options.bundle and (signed is None or signed.level == "good")
    probes = probe.accelerated(options.bundle, config) if trusted else ()
    findings = [*doctor.examine(device.describe(), device.condition(), manifest, probes=probes), asked]
    findings += [signed] if signed else []
    if options.json:
        print(to_json({"findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            print(printable(f"{finding.level:<8} {finding.about}: {finding.text}"))
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        raise Error(f"{problems} of {len(findings)} findings are problems; see above")


def _bench(options: argparse.Namespace) -> None:
    from edge_runtime.bench import report as reports
    from edge_runtime.bench.latency import run_from
    from edge_runtime.bench.table import table

    report = run_from(options)
    print(reports.to_json(report) if options.json else table(report))


def _calibrate(options: argparse.Namespace) -> None:
    from edge_runtime.bench import queries
    from edge_runtime.calibrate import calibrate, table

    outcome = calibrate(
        options.bundle,
        budget_ms=options.budget_ms,
        queries=None if options.queries is None else queries.read(options.queries),
        n=options.n,
        progress=_tell,
    )
    if options.json:
        print(to_json(schema.encode(outcome)))
    else:
        print("\n".join(printable(line) for line in table(outcome).splitlines()))


def _tell(doing: str, done: int, total: int) -> None:
    """To whoever waits at a terminal; minutes may pass on a small board."""
    if sys.stderr.isatty():
        print(f"{doing} ({done + 1} of {total})", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
