"""Two rankings of documents to one: by ranks, or by scores.

**By ranks**, reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): ``sum(1 / (k + rank))``.

**By scores**, with a weight that is found out for each query. Ranks say nothing of how far the first is
ahead. Here each list's scores are divided by the geometric mean of two lengths: the spread that scores have
by chance, and the lead of the best over the average. A list whose best stands out keeps a lead, but not all:

    meaning(d) = (cosine(d) - the list's last cosine) / sqrt(spread * lead)
    words(d)   = bm25(d) / sqrt(spread * lead)
    score(d)   = weight * meaning(d) + (1 - weight) * words(d)

The chance of cosines is measured at the build (`FusionSpec`); that of BM25 scores is the query's own, over
all passages. `weight` is a logistic function of two things: meaning counts less the more passages have a word
in common with the query, and more the farther the nearest stands out. How it was chosen, and what it is worth
on collections that had no part in choosing it: benchmarks/RESULTS.md, "Fusion".
"""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.candidates import Candidate, Evidence, Grouped
from edge_runtime.manifest import FusionSpec
from edge_runtime.word_scores import WordScores

WORDS_PULL = 1.4
"""What the log odds of the dense weight lose when every passage shares a word with the query."""

LEAD_PULL, USUAL_LEAD = 0.2, 4.5
"""What they gain with each spread by which the nearest leads over the average, and where that begins."""


def fuse(
    dense: Grouped, lexical: Grouped, scores: WordScores, *, spec: FusionSpec, limit: int
) -> list[Candidate]:
    """The best `limit` documents of both lists, as the bundle asks.

    Args:
        scores: the BM25 scores behind `lexical`.
    """
    if spec.method == "rrf":
        return by_rank(dense, lexical, k=spec.k, limit=limit)
    return by_score(dense, lexical, scores, spec=spec, limit=limit)


def by_rank(dense: Grouped, lexical: Grouped, *, k: int, limit: int) -> list[Candidate]:
    """The best `limit` documents of both lists by ``sum(1 / (k + rank))``; ties go to the better dense rank.

    A document is represented by the passage of the list that ranks it higher.
    """
    places = [dense.places(), lexical.places()]
    scores: dict[int, float] = {}
    for stage in places:
        for document, place in stage.items():
            scores[document] = scores.get(document, 0.0) + 1.0 / (k + place + 1)
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:limit]  # stable: dense order breaks ties

    def told(grouped: Grouped, place: int | None) -> tuple[int, Evidence] | None:
        if place is None:
            return None
        row, score = grouped.at(place)
        return row, Evidence(place + 1, score, 1.0 / (k + place + 1))

    candidates = []
    for document in best:
        meaning = told(dense, places[0].get(document))
        words = told(lexical, places[1].get(document))
        row, _ = max((found for found in (meaning, words) if found), key=lambda found: found[1].part)
        candidates.append(Candidate(row, scores[document], meaning and meaning[1], words and words[1]))
    return candidates


def by_score(
    dense: Grouped, lexical: Grouped, scores: WordScores, *, spec: FusionSpec, limit: int
) -> list[Candidate]:
    """The best `limit` documents of both lists; ties go to the better dense rank.

    A document is represented by its passage in the dense list, else by that in the other.

    Args:
        scores: the BM25 scores behind `lexical`, which those of dense hits beyond that list are read from.
    """
    weight = dense_weight(tilt(dense, scores, spec), spec.balance)
    cosines = dense.scores.astype(np.float64)  # so that a hit's parts add up to its score, to the last digit
    near = (weight / _unit_of_meaning(dense, spec)) * (cosines - cosines[-1:])
    of_near = scores.of(dense.rows)
    places = lexical.places()
    found = [places.pop(document, None) for document in dense.documents.tolist()]
    alone = list(places.values())  # what words alone found, by place
    for place, other in enumerate(found):
        if other is not None:
            of_near[place] = lexical.scores[other]
    bm25 = np.concatenate((of_near, lexical.scores[alone])).astype(np.float64)
    said = ((1 - weight) / _unit_of_words(scores)) * bm25
    totals = said.copy()
    totals[: len(near)] += near
    rows = np.concatenate((dense.rows, lexical.rows[alone]))
    ranks = [None if place is None else place + 1 for place in (*found, *alone)]
    candidates = []
    for i in np.argsort(-totals, kind="stable")[:limit].tolist():
        meaning = Evidence(i + 1, float(cosines[i]), float(near[i])) if i < len(near) else None
        words = Evidence(ranks[i], float(bm25[i]), float(said[i])) if bm25[i] > 0 else None
        candidates.append(Candidate(int(rows[i]), float(totals[i]), meaning, words))
    return candidates


def dense_weight(tilt: float, balance: float) -> float:
    """How much meaning counts, 0 to 1; words count the rest. Log odds of the query and of the corpus."""
    return 1 / (1 + math.exp(-balance - tilt))


def tilt(dense: Grouped, scores: WordScores, spec: FusionSpec) -> float:
    """What a query itself says for meaning, or against it where it is negative."""
    lead = _lead_of_meaning(dense, spec) / spec.cosine_spread
    return LEAD_PULL * (lead - USUAL_LEAD) - WORDS_PULL * scores.share


def _lead_of_meaning(dense: Grouped, spec: FusionSpec) -> float:
    best = float(dense.scores[0]) if len(dense.scores) else 0.0
    # A query that is like nothing in the corpus has no lead; it must not be stretched into one.
    return max(best - spec.cosine_mean, spec.cosine_spread)


def _unit_of_meaning(dense: Grouped, spec: FusionSpec) -> float:
    return math.sqrt(spec.cosine_spread * _lead_of_meaning(dense, spec))


def _unit_of_words(scores: WordScores) -> float:
    best, (mean, spread) = scores.best_score, scores.moments()
    # Equal scores everywhere spread nowhere. One passage that alone has a score spreads as far as this:
    spread = max(spread, best / math.sqrt(scores.passages))
    lead = max(best - mean, spread)
    return math.sqrt(spread * lead) or 1.0
