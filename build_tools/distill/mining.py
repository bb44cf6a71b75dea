"""Which documents each training query is compared with: its answer, and others that are hard to tell from it.

The teacher proposes: an exact search over its document vectors, in blocks, so that memory stays bounded
whatever the corpus. Of a labelled query, rows that the teacher likes nearly as well as the labelled
answer, or better, are left out: they are often answers that nobody labelled. That is the positive-aware
filter of NV-Retriever (arXiv 2407.15831, "TopK-PercPos").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build_tools.distill.lessons import Candidates, Lesson
from build_tools.errors import BuildError
from build_tools.recipe_training import CandidatesSpec

MOST_POSITIVES = 4
"""Entries for one query at most: a query with a hundred answers must not drown the others."""

QUERY_BLOCK, ROW_BLOCK = 256, 16384
"""Scores that are held at once: 16 MB of float32."""


@dataclass(frozen=True, slots=True)
class Passages:
    """The document vectors and which document each belongs to.

    Attributes:
        vectors: float32 (passages, ndim), the teacher's, of unit length; may be mapped.
        owners: document number of each row, never falling.
    """

    vectors: NDArray[np.float32]
    owners: NDArray[np.int32]

    def rows_of(self, document: int) -> NDArray[np.int64]:
        """The rows of one document, rising."""
        first, end = np.searchsorted(self.owners, [document, document + 1])
        return np.arange(first, end)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One list of candidates to be.

    Attributes:
        positive: its column 0; None where the teacher's best will be.
        barred: rows that must not be negatives.
        limit: nor those with a higher cosine.
    """

    query: int
    positive: int | None
    barred: NDArray[np.int64]
    limit: float

    def available(self, passages: Passages) -> int:
        """How long its list can be."""
        return len(passages.owners) - len(self.barred) + (self.positive is not None)


def mine(
    queries: Lesson,
    passages: Passages,
    *,
    positives: Sequence[Sequence[int]],
    spec: CandidatesSpec,
    seed: int,
    proposed: Sequence[NDArray[np.int64]] | None = None,
) -> Candidates:
    """Candidate rows for every query; labelled queries come first.

    A labelled query gives an entry for each positive document, up to `MOST_POSITIVES`. Column 0 is that
    document's passage with the highest cosine; the others are drawn at random from the ``spec.depth``
    best rows that are of no positive document and not above ``spec.margin`` of the positive's cosine.
    For an unlabelled query column 0 is the teacher's best, half of the others come next in its order and
    the rest from deeper, so that the list says something about ranking. Rows other than column 0 stand
    in falling order of cosine.

    Where too few rows are left in the whole corpus, the filtered ones with the lowest cosines fill the
    list; where even those are too few, all lists are shorter than ``spec.count``. A query whose answers
    are the whole corpus is left out.

    Args:
        queries: texts with the teacher's query vectors.
        positives: for each query the numbers of its labelled documents, best first; none if unlabelled.
        spec: how many, how deep, how strict; ``spec.queries`` bounds the queries, at random by `seed`.
        proposed: for each query more rows, by a word index say. They pass the same filter, and half of a
            labelled query's negatives are drawn from them where there are enough.

    Raises:
        BuildError: there is no query, or a corpus with nothing to tell an answer from.
    """
    entries = _all_entries(queries, passages, positives, spec, seed)
    width = min([spec.count, *(entry.available(passages) for entry in entries)])
    rows = np.empty((len(entries), width), np.int64)
    for i, (entry, pool) in enumerate(
        zip(entries, _pools(entries, queries, passages, spec.depth), strict=True)
    ):
        target = queries.targets[entry.query]
        words = None if proposed is None else _filtered(proposed[entry.query], entry, target, passages)
        drawn = _draw(pool, words, entry, width, np.random.default_rng((seed, i)))
        rows[i] = _complete(drawn, entry, target, passages, width)
    return _candidates(entries, rows, queries, passages)


def narrow(candidates: Candidates, *, count: int, margin: float) -> Candidates:
    """`count` columns of wider candidates that a cross-encoder has scored, without its false negatives.

    Of a labelled query, a row is left out that the cross-encoder calls relevant (sigmoid of the score)
    with more than `margin` of the positive's probability; the least probable of those fill up what is
    then missing. Lists of unlabelled queries are thinned out evenly. Column 0 stays, and so does the order.

    Raises:
        ValueError: there are no scores, or fewer columns than `count`.
    """
    scores = candidates.scores
    if scores is None or count > scores.shape[1]:
        raise ValueError(f"expected scored candidates with at least {count} columns")
    labelled = candidates.labelled[:, None]
    probabilities = 1 / (1 + np.exp(-np.clip(scores, -80, 80).astype(np.float64)))
    suspect = labelled & (probabilities > margin * probabilities[:, :1])
    spread = np.linspace(0, scores.shape[1] - 1, count).round()
    passed_over = ~labelled & ~np.isin(np.arange(scores.shape[1]), spread)
    # The lowest are kept: sound columns in their order, then suspects from the least probable.
    preference = np.where(suspect, 1 + probabilities, passed_over)
    preference[:, 0] = -1
    kept = np.sort(np.argsort(preference, axis=1, kind="stable")[:, :count], axis=1)
    return dataclasses.replace(
        candidates,
        rows=np.take_along_axis(candidates.rows, kept, 1),
        cosines=np.take_along_axis(candidates.cosines, kept, 1),
        scores=np.take_along_axis(scores, kept, 1),
    )


def _choose(positives: Sequence[Sequence[int]], limit: int, seed: int) -> list[int]:
    """At most `limit` queries in their order, labelled ones before the others."""
    chosen: list[int] = []
    for labelled in (True, False):
        group = np.array([i for i, found in enumerate(positives) if bool(found) == labelled], np.int64)
        room = limit - len(chosen)
        if len(group) > room:
            group = np.sort(np.random.default_rng((seed, int(labelled))).choice(group, room, replace=False))
        chosen += group.tolist()
    return chosen


def _all_entries(
    queries: Lesson,
    passages: Passages,
    positives: Sequence[Sequence[int]],
    spec: CandidatesSpec,
    seed: int,
) -> list[_Entry]:
    entries = [
        entry
        for query in _choose(positives, spec.queries, seed)
        for entry in _entries(query, queries, passages, positives, spec)
        if entry.available(passages) > 1
    ]
    if not entries:
        raise BuildError(
            f"mining: {len(queries.texts)} queries and {len(passages.owners)} passages; expected a query or "
            "more, and passages of other documents than its answers. Check the corpus and queries.labels."
        )
    return entries


def _entries(
    query: int,
    queries: Lesson,
    passages: Passages,
    positives: Sequence[Sequence[int]],
    spec: CandidatesSpec,
) -> Iterator[_Entry]:
    documents = list(dict.fromkeys(positives[query]))
    if not documents:
        yield _Entry(query, None, np.empty(0, np.int64), np.inf)
        return
    rows = [passages.rows_of(document) for document in documents]
    barred = np.concatenate(rows)
    for of_document in rows[:MOST_POSITIVES]:
        cosines = _cosines(passages, of_document, queries.targets[query])
        best = float(cosines.max())
        # A share of a negative cosine would be above it.
        limit = best - (1 - spec.margin) * abs(best)
        yield _Entry(query, int(of_document[cosines.argmax()]), barred, limit)


def _pools(
    entries: Sequence[_Entry], queries: Lesson, passages: Passages, depth: int
) -> Iterator[NDArray[np.int64]]:
    """For each entry its `depth` best rows that may be candidates, best first."""
    for first in range(0, len(entries), QUERY_BLOCK):
        block = entries[first : first + QUERY_BLOCK]
        targets = queries.targets[[entry.query for entry in block]]
        for scores, rows in zip(*_search(block, targets, passages, depth), strict=True):
            yield rows[np.isfinite(scores)]


def _search(
    entries: Sequence[_Entry], targets: NDArray[np.float32], passages: Passages, depth: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows, (entries, up to `depth`), best first; rows that may not be candidates score -inf."""
    limits = np.array([entry.limit for entry in entries], np.float32)[:, None]
    best = np.full((len(entries), 0), -np.inf, np.float32)
    rows = np.zeros((len(entries), 0), np.int64)
    for first in range(0, len(passages.vectors), ROW_BLOCK):
        block = np.asarray(passages.vectors[first : first + ROW_BLOCK])
        scores = targets @ block.T
        scores[scores > limits] = -np.inf
        for i, entry in enumerate(entries):
            barred = entry.barred[(entry.barred >= first) & (entry.barred < first + len(block))]
            scores[i, barred - first] = -np.inf
        numbers = np.broadcast_to(np.arange(first, first + len(block)), scores.shape)
        best, rows = _top(np.hstack([best, scores]), np.hstack([rows, numbers]), depth)
    return best, rows


def _top(
    scores: NDArray[np.float32], rows: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` best columns of each row, best first."""
    if scores.shape[1] > count:
        part = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        scores, rows = np.take_along_axis(scores, part, 1), np.take_along_axis(rows, part, 1)
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _filtered(
    rows: NDArray[np.int64], entry: _Entry, target: NDArray[np.float32], passages: Passages
) -> NDArray[np.int64]:
    """Those of the proposed rows that may be candidates, in their order."""
    rows = rows[~np.isin(rows, entry.barred)]
    return rows[_cosines(passages, rows, target) <= entry.limit]


def _draw(
    pool: NDArray[np.int64],
    words: NDArray[np.int64] | None,
    entry: _Entry,
    width: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """At most `width` different rows, the positive or the teacher's best first."""
    if entry.positive is None:
        near = 1 + (width - 1) // 2
        deep = pool[near:]
        return np.concatenate([pool[:near], rng.permutation(deep)[: width - near]])
    pool = rng.permutation(pool)
    if words is not None and len(words):
        words = rng.permutation(words)[: (width - 1) // 2]
        pool = np.concatenate([words, pool[~np.isin(pool, words)]])
    return np.concatenate([[entry.positive], pool[: width - 1]])


def _complete(
    drawn: NDArray[np.int64], entry: _Entry, target: NDArray[np.float32], passages: Passages, width: int
) -> NDArray[np.int64]:
    """`drawn`, filled up to `width` where it is shorter, all but the first in falling order of cosine."""
    if len(drawn) < width:
        cosines = np.array(passages.vectors @ target)
        cosines[entry.barred] = np.inf
        cosines[drawn] = np.inf
        drawn = np.concatenate([drawn, np.argsort(cosines, kind="stable")[: width - len(drawn)]])
    rest = drawn[1:]
    return np.concatenate([drawn[:1], rest[np.lexsort((rest, -_cosines(passages, rest, target)))]])


def _candidates(
    entries: Sequence[_Entry], rows: NDArray[np.int64], queries: Lesson, passages: Passages
) -> Candidates:
    cosines = np.empty(rows.shape, np.float32)
    for i, entry in enumerate(entries):
        cosines[i] = _cosines(passages, rows[i], queries.targets[entry.query])
    return Candidates(
        texts=[queries.texts[entry.query] for entry in entries],
        rows=rows,
        labelled=np.array([entry.positive is not None for entry in entries]),
        cosines=cosines,
    )


def _cosines(passages: Passages, rows: NDArray[np.int64], target: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(passages.vectors[rows] @ target, np.float32)
