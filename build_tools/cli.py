"""edge-build: documents in, a bundle for small devices out."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from build_tools import signing_commands
from build_tools.command_options import add_overrides, add_recipe, add_train_reranker, add_update
from build_tools.flash import command as flash_command
from edge_runtime import __version__, schema
from edge_runtime.errors import Error

if TYPE_CHECKING:
    from build_tools.build import Built
    from build_tools.quality import QualityCard

FAILED, INTERRUPTED = 1, 130

_MENDABLE = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS])
"""What the system refuses for want of room or permission."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 for an error of ours, 2 usage, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    # transformers imports torchao where the TFLite converter has brought it, and that tells what it lacks.
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
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
        hint = "; make room or change permissions, and run the same command again to go on"
        helps = error.errno in _MENDABLE
        print(f"edge-build: {place}{error.strerror or error}{hint if helps else ''}", file=sys.stderr)
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
    add_recipe(build)
    build.add_argument("--out", type=Path, default=Path("build"), help="where to build (default: build)")
    build.set_defaults(run=_build)

    distill = commands.add_parser(
        "distill", help="give a bundle other query encoders, keeping its documents and indexes"
    )
    distill.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a bundle's directory in its build folder"
    )
    add_overrides(distill)
    distill.set_defaults(run=_distill)

    add_update(commands).set_defaults(run=_update)

    evaluate = commands.add_parser("evaluate", help="measure a bundle on judged queries")
    evaluate.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    evaluate.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder in BEIR layout")
    evaluate.add_argument("--split", default="test", help="which qrels to use (default: test)")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=_evaluate)

    report = commands.add_parser("report", help="write a page of figures about a bundle")
    report.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    report.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: report, beside the bundle)"
    )
    report.set_defaults(run=_report)

    add_train_reranker(commands).set_defaults(run=_train_reranker)

    signing_commands.add(commands)
    flash_command.add(commands)
    return parser


def _build(options: argparse.Namespace) -> None:
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    _tell(build(recipe_yaml.load(options.recipe, options.overrides), options.out, Progress()))


def _distill(options: argparse.Namespace) -> None:
    from build_tools.progress import Progress
    from build_tools.redistil import redistil

    _tell(redistil(options.bundle, options.overrides, Progress()))


def _update(options: argparse.Namespace) -> None:
    from build_tools.progress import Progress
    from build_tools.update import Changes, update

    changes = Changes(tuple(options.add), tuple(options.remove))
    _tell(update(options.bundle, changes, Progress(), version=options.version, out=options.out))


def _tell(built: Built) -> None:
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
            "no build folder beside the bundle, a stage is gone, or its inputs have changed: rows of the "
            "teacher and of float32 students are left out"
        )
    with progress.task("measuring", total=None, unit="systems") as advance:
        rows = card.rows(options.bundle, questions, reference, advance)
    measured = QualityCard(questions.basis, len(questions.texts), rows, (), None)
    if options.json:
        print(json.dumps(schema.encode(measured), indent=2))
    else:
        _show(measured)


def _report(options: argparse.Namespace) -> None:
    from build_tools.progress import Progress
    from build_tools.report import report

    print(report(options.bundle, options.out, Progress()))


def _train_reranker(options: argparse.Namespace) -> None:
    from build_tools import recipe_yaml
    from build_tools.distill.reranker import RerankerSpec
    from build_tools.progress import Progress
    from build_tools.train_reranker import train_reranker

    recipe = recipe_yaml.load(options.recipe, options.overrides)
    spec = RerankerSpec(
        base=options.base,
        epochs=options.epochs,
        max_tokens=options.max_tokens,
        learning_rate=options.learning_rate,
        train_embeddings=recipe.training.train_embeddings,
        seed=recipe.training.seed,
    )
    _show(train_reranker(recipe, spec, build=options.build, out=options.out, progress=Progress()))
    print(f"written: {options.out}")


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
        earlier = "" if card.version is None else f", with the documents of {card.version}"
        console.print(f"index: recall@10 {card.index_recall:.4f} against exact float32{earlier}")


if __name__ == "__main__":
    sys.exit(main())
