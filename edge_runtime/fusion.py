"""Passage rankings to one document ranking: grouping, and reciprocal rank fusion.

Source: Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual
rank learning methods".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage said of a document: its rank there, from 1, and its best passage's score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document on its way to becoming a hit; `row` is the passage that represents it."""

    row: int
    score: float
    dense: Evidence | None = None
    lexical: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Grouped:
    """Documents from best to worst, each by its best passage: three arrays of one length."""

    documents: NDArray[np.int32]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def group(ranking: Ranking, owners: NDArray[np.int32], limit: int) -> Grouped:
    """The first `limit` documents of a passage ranking; `owners` are its rows' document numbers."""
    _, first = np.unique(owners, return_index=True)
    first = np.sort(first)[:limit]
    return Grouped(owners[first], ranking.rows[first], ranking.scores[first])


def single(grouped: Grouped, *, lexical: bool) -> list[Candidate]:
    """The candidates of one stage alone, under its own scores."""
    candidates = []
    for place in range(len(grouped.rows)):
        row, evidence = _at(grouped, place)
        words, meaning = (evidence, None) if lexical else (None, evidence)
        candidates.append(Candidate(row, evidence.score, dense=meaning, lexical=words))
    return candidates


def fuse(dense: Grouped, lexical: Grouped, *, k: int, limit: int) -> list[Candidate]:
    """The best `limit` documents of both lists by ``sum(1 / (k + rank))``; ties go to the better dense rank.

    A document is represented by the passage of the list that ranks it higher.
    """
    places = [_places(dense), _places(lexical)]
    scores: dict[int, float] = {}
    for stage in places:
        for document, place in stage.items():
            scores[document] = scores.get(document, 0.0) + 1.0 / (k + place + 1)
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:limit]  # stable: dense order breaks ties
    return [_joined(document, scores[document], dense, lexical, places) for document in best]


def _joined(
    document: int, score: float, dense: Grouped, lexical: Grouped, places: list[dict[int, int]]
) -> Candidate:
    meaning = _at(dense, places[0][document]) if document in places[0] else None
    words = _at(lexical, places[1][document]) if document in places[1] else None
    row, _ = min((found for found in (meaning, words) if found), key=lambda found: found[1].rank)
    return Candidate(
        row=row,
        score=score,
        dense=meaning[1] if meaning else None,
        lexical=words[1] if words else None,
    )


def _places(grouped: Grouped) -> dict[int, int]:
    """Each document's place in the list, from 0, in list order."""
    return {document: place for place, document in enumerate(grouped.documents.tolist())}


def _at(grouped: Grouped, place: int) -> tuple[int, Evidence]:
    """The passage and the evidence at one place of the list."""
    return int(grouped.rows[place]), Evidence(place + 1, float(grouped.scores[place]))
