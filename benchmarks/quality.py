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

from results import replace_section

from build_tools import recipe_yaml
from build_tools.build import Built, build
from build_tools.distill.trainer import CurvePoint
from build_tools.errors import DataError
from build_tools.progress import Progress
from build_tools.quality import Row
from edge_runtime.device import describe
from edge_runtime.errors import Error

HERE = Path(__file__).parent
RECIPE = HERE.parent / "bundles" / "beir.yaml"


def main() -> int:
    """Runs every set; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, metavar="DIR", help="a folder in BEIR layout")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="default: bundles/beir.yaml")
    parser.add_argument("--out", type=Path, default=Path("build"), help="where bundles are built")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY.PATH=VALUE")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the file to write into")
    options = parser.parse_args()
    try:
        sections = [section(folder, options) for folder in options.data]
    except Error as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    replace_section(options.results, "quality", "\n\n".join([machine(), *sections]))
    print(options.results.read_text("utf-8"))
    return 0


def section(folder: Path, options: argparse.Namespace) -> str:
    """One set's heading, table and notes."""
    overrides = [*options.overrides, f"corpus.path={folder}", f"name={folder.name}"]
    built = build(recipe_yaml.load(options.recipe, overrides), options.out, Progress())
    if built.card.basis != "labels":
        raise DataError(f"{folder}: no qrels; quality is measured on judged queries")
    lines = [f"### {folder.name}", "", *table(built.card.rows), "", *notes(built)]
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
    for parity in card.parity:
        last = curve_end(built, parity.encoder)
        yield (
            f"{card.queries} queries. {parity.encoder}: {last.step} steps, "
            f"{last.seconds / 60:.1f} minutes of training; "
            f"int8 against PyTorch on {parity.texts} held-out texts: cosine mean {parity.cosine_mean:.4f}, "
            f"min {parity.cosine_min:.4f}; index recall@10 against exact float32 {card.index_recall:.4f}; "
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
    return f"{device.cores} cores of {device.cpu}, {device.python}, {versions}."


if __name__ == "__main__":
    sys.exit(main())
