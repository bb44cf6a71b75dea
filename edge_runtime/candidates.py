"""Documents on their way to becoming hits: passages grouped by document, and what each stage said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage said of a document.

    Attributes:
        rank: its place there, from 1; None where it is not among the documents taken from that stage.
        score: its best passage's cosine or BM25 score.
        part: what it adds to the score of the hit.
    """

    rank: int | None
    score: float
    part: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document on its way to becoming a hit; `row` is the passage that represents it."""

    row: int
    score: float
    dense: Evidence | None = None
    lexical: Evidence | None = None
    rerank: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Grouped:
    """Documents from best to worst, each by its best passage: three arrays of one length."""

    documents: NDArray[np.int32]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def places(self) -> dict[int, int]:
        """Each document's place in the list, from 0, in list order."""
        return {document: place for place, document in enumerate(self.documents.tolist())}

    def at(self, place: int) -> tuple[int, float]:
        """The passage and its score at one place of the list."""
        return int(self.rows[place]), float(self.scores[place])


def group(ranking: Ranking, owners: NDArray[np.int32], limit: int) -> Grouped:
    """The first `limit` documents of a passage ranking; `owners` are its rows' document numbers."""
    _, first = np.unique(owners, return_index=True)
    first = np.sort(first)[:limit]
    return Grouped(owners[first], ranking.rows[first], ranking.scores[first])


def single(grouped: Grouped, *, lexical: bool) -> list[Candidate]:
    """The candidates of one stage alone, under its own scores."""
    candidates = []
    for place in range(len(grouped.rows)):
        row, score = grouped.at(place)
        evidence = Evidence(place + 1, score, score)
        words, meaning = (evidence, None) if lexical else (None, evidence)
        candidates.append(Candidate(row, score, dense=meaning, lexical=words))
    return candidates
