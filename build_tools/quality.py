"""The quality card: what a build measured of itself, as data, as quality.yaml and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from rich import box
from rich.table import Table

from build_tools.errors import BuildError
from edge_runtime import schema

FILENAME = "quality.yaml"
THROUGH_INDEX = "int8, index"
"""What the card calls an encoder as it ships."""


@dataclass(frozen=True, slots=True)
class Row:
    """One system's figures, all 0 to 1.

    Attributes:
        retention: its nDCG@10 as a share of the teacher's.
        bytes: what it adds to the bundle.
    """

    system: str
    ndcg_10: float
    recall_10: float
    recall_100: float
    mrr_10: float
    retention: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Parity:
    """Cosines between the compiled encoder and PyTorch on held-out text."""

    encoder: str
    texts: int
    cosine_mean: float
    cosine_min: float


@dataclass(frozen=True, slots=True)
class DimensionCost:
    """What a number of dimensions costs and saves.

    Attributes:
        recall_10: share of the ten nearest by all dimensions that are among the ten nearest by these.
        variance_kept: share of the documents' mean squared length.
        bytes_per_vector: of the index, int8, without its graph.
    """

    ndim: int
    recall_10: float
    variance_kept: float
    bytes_per_vector: int


@dataclass(frozen=True, slots=True)
class PrunedVocabulary:
    """What an encoder's smaller vocabulary saved and cost.

    Attributes:
        bytes_saved: of the word table and the tokenizer together.
        respelt: share of held-out texts that are spelt in other pieces than before.
    """

    encoder: str
    entries_before: int
    entries_after: int
    bytes_saved: int
    respelt: float


@dataclass(frozen=True, slots=True)
class QualityCard:
    """What a build measured of itself.

    Attributes:
        basis: "labels" for judged queries; "teacher" for agreement with it.
        queries: how many the rows rest on.
        index_recall: recall@10 of the shipped index against exact float32 search.
        dimensions: what fewer dimensions would cost, where the recipe reduces them.
        vocabularies: of encoders with a pruned one.
        version: of the bundle with whose documents rows, index recall and dimensions were measured; None
            where it is this one. The rest is of encoders alone.
    """

    basis: Literal["labels", "teacher"]
    queries: int
    rows: tuple[Row, ...]
    parity: tuple[Parity, ...]
    index_recall: float | None
    dimensions: tuple[DimensionCost, ...] = ()
    vocabularies: tuple[PrunedVocabulary, ...] = ()
    version: str | None = None

    def through_index(self, encoder: str) -> Row | None:
        """The row of an encoder as it ships: int8, through the index."""
        return next((row for row in self.rows if row.system == f"{encoder}, {THROUGH_INDEX}"), None)


def write(card: QualityCard, directory: Path) -> None:
    """Writes quality.yaml."""
    text = yaml.safe_dump(schema.encode(card), sort_keys=False, allow_unicode=True)
    (directory / FILENAME).write_text(text, "utf-8")


def read(directory: Path) -> QualityCard:
    """quality.yaml of a bundle whose bytes have been checked.

    Raises:
        BuildError: another version of this package wrote it.
    """
    path = directory / FILENAME
    try:
        return schema.decode(QualityCard, yaml.safe_load(path.read_bytes()))
    except (schema.SchemaError, yaml.YAMLError) as error:
        raise BuildError(f"{path}: of another version ({error}); build the bundle again") from None


def table(card: QualityCard) -> Table:
    """The card as a person reads it."""
    basis = (
        "judged queries" if card.basis == "labels" else "held-out texts; relevant = the teacher's ten best"
    )
    title = f"Quality on {card.queries} {basis}"
    if card.version is not None:
        title += f"\nwith the documents of {card.version}: others came or went since"
    shown = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1))
    shown.add_column("system", no_wrap=True)
    for name in ("nDCG@10", "R@10", "R@100", "MRR@10", "kept", "MB"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in card.rows:
        figures = (row.ndcg_10, row.recall_10, row.recall_100, row.mrr_10)
        kept = "" if row.retention is None else f"{row.retention:.3f}"
        size = "" if row.bytes is None else f"{row.bytes / 1e6:.1f}"
        shown.add_row(row.system, *(f"{figure:.3f}" for figure in figures), kept, size)
    return shown
