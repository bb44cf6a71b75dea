"""Options of edge-build's commands, where they are many or belong to several."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_train_reranker(commands: Commands) -> argparse.ArgumentParser:
    """The command `train-reranker`."""
    reranker = commands.add_parser(
        "train-reranker", help="fine-tune a cross-encoder on the labelled pairs of a recipe"
    )
    add_recipe(reranker)
    reranker.add_argument(
        "--base",
        default="packaged",
        metavar="MODEL",
        help="encoder that it is made from: packaged, a folder or a hub name (default: packaged)",
    )
    reranker.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write it")
    reranker.add_argument(
        "--build",
        type=Path,
        default=Path("build"),
        metavar="DIR",
        help="where bundles are built; finished stages there are used (default: build)",
    )
    reranker.add_argument("--epochs", type=_positive_int, default=3, metavar="N", help="default: 3")
    reranker.add_argument(
        "--max-tokens",
        type=_positive_int,
        default=192,
        metavar="N",
        help="cut query and passage together to this many word pieces (default: 192)",
    )
    reranker.add_argument(
        "--learning-rate", type=_positive_float, default=1e-4, metavar="RATE", help="its peak (default: 1e-4)"
    )
    return reranker


def add_update(commands: Commands) -> argparse.ArgumentParser:
    """The command `update`."""
    update = commands.add_parser(
        "update", help="add documents to a bundle or remove some, keeping its encoders"
    )
    update.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a bundle's directory in its build folder"
    )
    update.add_argument(
        "--add",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DOCS",
        help="files or folders of the kind that the recipe reads; a known key replaces its document",
    )
    update.add_argument(
        "--remove",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY",
        help="keys of documents to take out",
    )
    update.add_argument(
        "--version", metavar="V", help="of the new bundle (default: the last number rises by one)"
    )
    update.add_argument(
        "--out", type=Path, metavar="OUT", help="write OUT/NAME and leave the old version where it is"
    )
    return update


def add_recipe(command: argparse.ArgumentParser) -> None:
    """A recipe's file, and `add_overrides`."""
    command.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe, such as bundles/beir.yaml")
    add_overrides(command)


def add_overrides(command: argparse.ArgumentParser) -> None:
    """Fields of the recipe that are set on the command line."""
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        dest="overrides",
        help="override a field of the recipe; may be given again",
    )


def _positive_int(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1; found {text!r}")
    return value


def _positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1; found {text!r}")
    return value
