"""Builds and measures a bundle for each data set given, and writes the table into RESULTS.md.

    python benchmarks/quality.py DIR... [--set KEY.PATH=VALUE]...

Each DIR is a folder in BEIR layout; its name becomes the bundle's. A finished build is found
and not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from results import check_section, replace_section

from build_tools import recipe_yaml
from build_tools.build import Built, build
from build_tools.distill.trainer import CurvePoint
from build_tools.errors import DataError
from build_tools.progress import Progress
from build_tools.quality import Row
from edge_runtime.device import describe
from edge_runtime.errors import Error

INTERRUPTED = 130

HERE = Path(__file__).parent
RECIPE = HERE.parent / "bundles" / "beir.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every set; 0, or 1 with one line on stderr. Finished stages of a build are kept."""
    options = _parser().parse_args(argv)
    try:
        _run(options)
    except (Error, OSError) as error:
        print(f"quality.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("quality.py: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quality.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, metavar="DIR", help="a folder in BEIR layout")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="default: bundles/beir.yaml")
    parser.add_argument("--out", type=Path, default=Path("build"), help="where bundles are built")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="override a field of the recipe; may be given again",
    )
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the file to write into")
    return parser


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, "quality")
    check_folders(options.data)
    body = "\n\n".join([machine(), *(section(folder, options) for folder in options.data)])
    replace_section(options.results, "quality", body)
    print(body)


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


def name_of(folder: Path) -> str:
    """The set's name, also where the folder is given as ``.``."""
    return folder.resolve().name


def section(folder: Path, options: argparse.Namespace) -> str:
    """One set's heading, table and notes."""
    overrides = [*options.overrides, f"corpus.path={folder}", f"name={name_of(folder)}"]
    built = build(recipe_yaml.load(options.recipe, overrides), options.out, Progress())
    if built.card.basis != "labels":
        raise DataError(f"{options.recipe}: expected a recipe with 'source: beir', whose queries are judged")
    lines = [f"### {name_of(folder)}", "", *table(built.card.rows), "", *notes(built)]
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The card's rows in Markdown."""
    yield "| system | nDCG@10 | Recall@10 | Recall@100 | MRR@10 | of the teacher |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        kept = "" if row.retention is None else f"{row.retention:.3f}"
        figures = (row.ndcg_10, row.recall_10, row.recall_100, row.mrr_10)
        yield f"| {row.system} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {kept} |"


def notes(built: Built) -> Iterator[str]:
    """What else the build measured."""
    card = built.card
    recall = "not measured" if card.index_recall is None else f"{card.index_recall:.4f}"
    for parity in card.parity:
        last = curve_end(built, parity.encoder)
        yield (
            f"{card.queries} queries. {parity.encoder}: {last.step} steps, "
            f"{last.seconds / 60:.1f} minutes of training; "
            f"int8 against PyTorch on {parity.texts} held-out texts: cosine mean {parity.cosine_mean:.4f}, "
            f"min {parity.cosine_min:.4f}; index recall@10 against exact float32 {recall}; "
            f"{built.transport.stat().st_size / 1e6:.1f} MB."
        )


def curve_end(built: Built, encoder: str) -> CurvePoint:
    """The end of an encoder's learning curve."""
    lines = (built.bundle.parent / "curves" / f"{encoder}.jsonl").read_text("utf-8").splitlines()
    return CurvePoint(**json.loads(lines[-1]))


def machine() -> str:
    """Where and with what the figures were measured."""
    names = ("torch", "sentence-transformers", "onnxruntime", "usearch", "bm25s")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    device = describe()
    return f"{device.cores or '?'} cores of {device.cpu or device.machine}, {device.python}, {versions}."


if __name__ == "__main__":
    sys.exit(main())
