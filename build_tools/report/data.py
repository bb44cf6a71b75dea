"""What a report shows, as frozen values: `collect` measures them, `plots` and `page` show them.

A figure that could not be measured is None or an empty tuple, and `Findings.missing` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from build_tools.distill.curve import CurvePoint
from build_tools.gates import Gate
from build_tools.quality import QualityCard, Row
from edge_runtime.bench.report import Latency
from edge_runtime.manifest import Licence


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """One query, as the teacher and a rung answer it.

    Attributes:
        teacher, rung: nDCG@10 of each.
        teacher_place, rung_place: where the first relevant document stands, from 1; None beyond the ranking.
    """

    query: str
    teacher: float
    rung: float
    teacher_place: int | None
    rung_place: int | None

    @property
    def difference(self) -> float:
        """Above 0 where the rung answers better than the teacher."""
        return self.rung - self.teacher


@dataclass(frozen=True, slots=True)
class Comparison:
    """A rung against the teacher, query by query.

    Attributes:
        differences: of nDCG@10, rung minus teacher, one a query, rising.
        mean: of the differences; `low` and `high` bound its 95 % bootstrap interval.
        wins: queries that the rung answers better, by falling difference; at most `compare.SHOWN`.
        losses: the same of those it answers worse.
    """

    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    wins: tuple[QueryOutcome, ...]
    losses: tuple[QueryOutcome, ...]

    @property
    def better(self) -> int:
        """How many queries the rung answers better."""
        return sum(difference > 0 for difference in self.differences)

    @property
    def worse(self) -> int:
        """How many queries it answers worse."""
        return sum(difference < 0 for difference in self.differences)

    @property
    def equal(self) -> int:
        """How many make no difference."""
        return len(self.differences) - self.better - self.worse


@dataclass(frozen=True, slots=True)
class Rung:
    """One query encoder of the bundle.

    Attributes:
        what: its kind in words, such as ``3 layers``.
        bytes: of its own files.
        encode, dense, hybrid: milliseconds of its vector alone, and of whole searches in these modes.
        quality: its row through the index; `hybrid_quality` the row of the fused answer.
        to_teacher: cosines of the PyTorch student to the teacher, one a held-out text.
        to_pytorch: cosines of the compiled encoder to the PyTorch student, one a held-out text.
    """

    id: str
    what: str
    bytes: int
    encode: Latency
    dense: Latency
    hybrid: Latency
    quality: Row | None
    hybrid_quality: Row | None
    curve: tuple[CurvePoint, ...]
    to_teacher: tuple[float, ...]
    to_pytorch: tuple[float, ...]
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class RecallPoint:
    """What one way to search the index finds, and its median time in milliseconds.

    Attributes:
        effort: HNSW candidates (ef), or passages compared; None for exact search.
    """

    effort: int | None
    recall: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class IndexRecall:
    """recall@10 of the shipped index by how far a search looks.

    Attributes:
        against: the exact search that counts as right: over the float32 vectors, or over the index itself.
        texts: how many queries were asked.
        points: by rising effort.
        exact: exact search of the shipped index.
        shipped: the effort in the manifest.
        search: how the bundle searches.
    """

    against: Literal["float32", "int8"]
    texts: int
    points: tuple[RecallPoint, ...]
    exact: RecallPoint
    shipped: int
    search: Literal["exact", "hnsw", "two-stage", "pq"]


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of the bundle weighs; `rung` is the encoder's id where it is one."""

    name: str
    bytes: int
    rung: str | None = None


@dataclass(frozen=True, slots=True)
class Teacher:
    """The model that the rungs learn from.

    Attributes:
        milliseconds: median of one query, by one thread in PyTorch on this machine; None without the model.
    """

    name: str
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Timing:
    """How the latencies were measured.

    Attributes:
        started: UTC, ISO 8601.
        machine: processor, cores and operating system.
        queries: how many different ones; `searches` how many were timed for each rung and mode.
        words: median words of a query.
        bm25: a search by words alone.
        warnings: all that makes the figures weaker than they look.
    """

    started: str
    machine: str
    queries: int
    searches: int
    words: float
    bm25: Latency
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All of a report.

    Attributes:
        held_out: texts behind the cosines.
        gates: None where the recipe is not known.
        missing: what is not shown and why, a sentence each.
    """

    name: str
    version: str
    created: str
    documents: int
    passages: int
    ndim: int
    bytes: int
    teacher: Teacher | None
    timing: Timing
    held_out: int
    rungs: tuple[Rung, ...]
    card: QualityCard
    index: IndexRecall
    parts: tuple[Part, ...]
    gates: tuple[Gate, ...] | None
    licences: tuple[Licence, ...]
    missing: tuple[str, ...]

    @property
    def bm25_row(self) -> Row | None:
        """The card's row of the words alone."""
        return next((row for row in self.card.rows if row.system == "BM25"), None)

    @property
    def teacher_row(self) -> Row | None:
        """The card's row of the teacher."""
        return next((row for row in self.card.rows if row.system.startswith("teacher")), None)
