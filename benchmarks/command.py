"""What the scripts have in common: options, early checks, errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from tables import listed

from build_tools import recipe_yaml
from build_tools.corpus.beir import read_qrels
from build_tools.errors import DataError
from build_tools.recipe import Recipe
from edge_runtime.bench import queries as query_files
from edge_runtime.bundle import Bundle
from edge_runtime.device import describe
from edge_runtime.errors import Error

FAILED, INTERRUPTED = 1, 130

HERE = Path(__file__).parent
RECIPE = HERE.parent / "bundles" / "beir.yaml"


def parser(prog: str, description: str | None, *, section: str, seeds: str) -> argparse.ArgumentParser:
    """The options of the scripts that build bundles.

    Args:
        section: of RESULTS.md, by default.
        seeds: what happens without ``--seeds``, in words.
    """
    made = plain_parser(prog, description, section=section)
    made.add_argument("--recipe", type=Path, default=RECIPE, help="default: bundles/beir.yaml")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="override a field of the recipe; may be given again",
    )
    made.add_argument(
        "--seeds", type=seed_numbers, metavar="N,N…", help=f"repeat with these seeds (default: {seeds})"
    )
    made.add_argument(
        "--out", type=Path, default=Path("build"), help="where bundles are built (default: build)"
    )
    return made


def plain_parser(prog: str, description: str | None, *, section: str) -> argparse.ArgumentParser:
    """The options of every script that writes a section of RESULTS.md."""
    made = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the file to write into")
    made.add_argument(
        "--section", default=section, help=f"which of its places, <!-- NAME --> (default: {section})"
    )
    return made


def add_bundle(made: argparse.ArgumentParser) -> None:
    """The options of the scripts that ask a finished bundle."""
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument("--encoder", metavar="ID", help="default: the one calibrated, else the first")
    made.add_argument("--queries", type=Path, metavar="FILE", help="default: the bundle's golden queries")


def questions(options: argparse.Namespace) -> tuple[str, ...]:
    """What `add_bundle` lets one ask.

    Raises:
        Error: there are none, or they cannot be read.
    """
    if options.queries is not None:
        return query_files.read(options.queries)
    bundle = Bundle.open(options.bundle)
    try:
        return query_files.golden(bundle)
    finally:
        bundle.close()


def run(prog: str, action: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Exit status: 0, 1 with one line on stderr, 130 for Ctrl-C. Finished stages of a build are kept."""
    try:
        action(options)
    except (Error, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def seed_numbers(text: str) -> tuple[int, ...]:
    """Different whole numbers, separated by commas.

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    words = text.split(",")
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 0,1,2; found {text!r}")
    numbers = tuple(int(word) for word in words)
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"expected different seeds; found {text!r}")
    return numbers


def seeds_shown(seeds: Sequence[int]) -> str:
    """The seeds of a table, and what its figures are where there are several."""
    if len(seeds) == 1:
        return f"Seed {seeds[0]}"
    return f"Seeds {listed(seeds)}: mean ± standard deviation"


def name_of(folder: Path) -> str:
    """A data set's name, also where the folder is given as ``.``."""
    return folder.resolve().name


def check_folders(folders: Sequence[Path]) -> None:
    """Looks, before the hours of training, for what is needed last.

    Raises:
        DataError: a folder without judgements, or two of one name, which would be built in one place.
    """
    names: set[str] = set()
    for folder in folders:
        if not (folder / "qrels").is_dir():
            raise DataError(f"{folder}: no qrels folder; quality is measured on judged queries")
        if name_of(folder) in names:
            raise DataError(f"{folder}: a second folder named {name_of(folder)}; rename one")
        names.add(name_of(folder))


def load(recipe: Path, folder: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe for one data set, whose judgements are looked at.

    Raises:
        RecipeError: the recipe or an override is wrong.
        DataError: the recipe reads no BEIR folder, or this one has no such split.
    """
    loaded = recipe_yaml.load(recipe, [*overrides, f"corpus.path={folder}"])
    if loaded.corpus.source != "beir":
        raise DataError(f"{recipe}: expected a recipe with 'source: beir', whose queries are judged")
    read_qrels(folder, loaded.evaluation.split)
    return loaded


def machine() -> str:
    """Where and with what the figures were measured."""
    names = ("torch", "sentence-transformers", "onnxruntime", "usearch", "bm25s")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    device = describe()
    return f"{device.cores or '?'} cores of {device.cpu or device.machine}, {device.python}, {versions}."
