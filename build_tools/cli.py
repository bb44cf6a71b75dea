"""edge-build: documents in, a bundle for small devices out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import __version__, schema
from edge_runtime.errors import Error

if TYPE_CHECKING:
    from build_tools.quality import QualityCard

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 for an error of ours, 2 usage, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except Error as error:
        print(f"edge-build: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        print(
            f"edge-build: {error.name} is not installed; pip install 'edge-runtime[build]'", file=sys.stderr
        )
        return FAILED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; the interpreter must not flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk or a read-only folder can strike at any line of a build
        place = "" if error.filename is None else f"{error.filename}: "
        hint = "make room or change permissions, and run the same command again to go on"
        print(f"edge-build: {place}{error.strerror or error}; {hint}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("edge-build: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-build", description=__doc__)
    parser.add_argument("--version", action="version", version=f"edge-build {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build a bundle from a recipe")
    build.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe, such as bundles/beir.yaml")
    build.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        dest="overrides",
        help="override a field of the recipe; may be given again",
    )
    build.add_argument("--out", type=Path, default=Path("build"), help="where to build (default: build)")
    build.set_defaults(run=_build)

    evaluate = commands.add_parser("evaluate", help="measure a bundle on judged queries")
    evaluate.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    evaluate.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder in BEIR layout")
    evaluate.add_argument("--split", default="test", help="which qrels to use (default: test)")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=_evaluate)

    pack = commands.add_parser("pack", help="write a bundle's transport file")
    pack.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    pack.add_argument("file", type=Path, metavar="FILE", help="the .edge file to write")
    pack.set_defaults(run=_pack)
    return parser


def _build(options: argparse.Namespace) -> None:
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    progress = Progress()
    built = build(recipe_yaml.load(options.recipe, options.overrides), options.out, progress)
    _show(built.card)
    state = "built" if built.fresh else "up to date"
    print(f"{state}: {built.bundle}  ({built.transport.name}, {built.transport.stat().st_size / 1e6:.1f} MB)")


def _evaluate(options: argparse.Namespace) -> None:
    from build_tools import card
    from build_tools.documents import keys_of
    from build_tools.make import reference_of
    from build_tools.progress import Progress
    from build_tools.quality import QualityCard

    progress = Progress()
    questions = card.labelled(options.data, options.split, keys_of(options.bundle))
    reference = reference_of(options.bundle, progress)
    if reference is None:
        progress.say(
            "no build folder beside the bundle, or its inputs have changed: rows of the teacher and of "
            "float32 students are left out"
        )
    with progress.task("measuring", total=None, unit="systems") as advance:
        rows = card.rows(options.bundle, questions, reference, advance)
    measured = QualityCard(questions.basis, len(questions.texts), rows, (), None)
    if options.json:
        print(json.dumps(schema.encode(measured), indent=2))
    else:
        _show(measured)


def _pack(options: argparse.Namespace) -> None:
    from build_tools.pack import pack

    print(pack(options.bundle, options.file))


def _show(card: QualityCard) -> None:
    from rich.console import Console

    from build_tools.quality import table

    # In a file or a pipe nothing is cut or wrapped; rich would take those for 80 columns wide.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    console.print(table(card))
    for parity in card.parity:
        console.print(
            f"{parity.encoder}: int8 against PyTorch, cosine mean {parity.cosine_mean:.4f}, "
            f"min {parity.cosine_min:.4f} over {parity.texts} texts"
        )
    if card.index_recall is not None:
        console.print(f"index: recall@10 {card.index_recall:.4f} against exact float32")


if __name__ == "__main__":
    sys.exit(main())
