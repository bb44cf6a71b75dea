"""How well systems find what they should: questions, rankings, and the figures of a quality card's row.

With judgements (BEIR layout) the figures are retrieval quality. Without, the teacher's ten best documents
count as relevant, so they say how far each system agrees with the teacher. The card says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG
from numpy.typing import NDArray

from build_tools.quality import Parity, Row
from edge_runtime.question import Mode
from edge_runtime.retriever import Retriever

DEPTH = 100
"""Documents in each ranking: enough for Recall@100."""

AGREED = 10
"""Documents of the teacher that count as relevant when nobody has judged."""

Ranked = Sequence[tuple[str, float]]
"""Document keys with scores, best first."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries and what answers them.

    Attributes:
        judgements: relevance by query id, then by document key.
    """

    basis: Literal["labels", "teacher"]
    texts: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def questions_of(answers: Mapping[str, Mapping[str, int]]) -> Questions:
    """Questions from relevance by query and document; their ids are their places."""
    texts = {str(number): text for number, text in enumerate(answers)}
    return Questions("labels", texts, {number: answers[text] for number, text in texts.items()})


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """The exact float32 document vectors, with each row's document.

    Attributes:
        vectors: (passages, ndim), of unit length; may be mapped.
        owners: document number of each row, never falling.
        keys: document keys by number.
    """

    vectors: NDArray[np.float32]
    owners: NDArray[np.int32]
    keys: Sequence[str]

    def rank(self, queries: NDArray[np.float32]) -> list[Ranked]:
        """The `DEPTH` best documents of each query vector (n, ndim), by their best passage."""
        starts = np.flatnonzero(np.diff(self.owners, prepend=-1))
        ranked: list[Ranked] = []
        for first in range(0, len(queries), 32):
            scores = queries[first : first + 32] @ np.asarray(self.vectors).T
            ranked += [self._best(row) for row in np.maximum.reduceat(scores, starts, axis=1)]
        return ranked

    def _best(self, scores: NDArray[np.float32]) -> Ranked:
        order = np.argsort(-scores, kind="stable")[:DEPTH]
        return [(self.keys[document], float(scores[document])) for document in order]


def agreement(texts: Sequence[str], rankings: Sequence[Ranked]) -> Questions:
    """Questions whose relevant documents are the teacher's `AGREED` best."""
    ids = [str(number) for number in range(len(texts))]
    judgements = {
        query: {key: 1 for key, _ in ranking[:AGREED]} for query, ranking in zip(ids, rankings, strict=True)
    }
    return Questions("teacher", dict(zip(ids, texts, strict=True)), judgements)


def bundle_rankings(
    retriever: Retriever, texts: Sequence[str], mode: Mode, *, rerank: bool = False
) -> list[Ranked]:
    """What the bundle itself answers."""
    found = (retriever.search(text, k=DEPTH, mode=mode, rerank=rerank) for text in texts)
    return [[(hit.key, hit.score) for hit in hits] for hits in found]


def measure(
    system: str,
    rankings: Sequence[Ranked],
    questions: Questions,
    *,
    teacher: float | None = None,
    size: int | None = None,
) -> Row:
    """The figures of one system.

    Args:
        rankings: one a query, in the order of ``questions.texts``.
        teacher: the teacher's nDCG@10, for the retention.
        size: what the system adds to the bundle, in bytes.
    """
    figures = ir_measures.calc_aggregate(
        [nDCG @ 10, R @ 10, R @ 100, RR @ 10], _qrels(questions), _run(rankings, questions)
    )
    ndcg = float(figures[nDCG @ 10])
    return Row(
        system=system,
        ndcg_10=round(ndcg, 4),
        recall_10=round(float(figures[R @ 10]), 4),
        recall_100=round(float(figures[R @ 100]), 4),
        mrr_10=round(float(figures[RR @ 10]), 4),
        retention=round(ndcg / teacher, 4) if teacher else None,
        bytes=size,
    )


def ndcg_by_query(rankings: Sequence[Ranked], questions: Questions) -> NDArray[np.float64]:
    """nDCG@10 (queries,) of one system, in the order of ``questions.texts``.

    Args:
        rankings: one a query, in that order.
    """
    found = ir_measures.iter_calc([nDCG @ 10], _qrels(questions), _run(rankings, questions))
    values = {metric.query_id: float(metric.value) for metric in found}
    return np.array([values[query] for query in questions.texts])


def parity(encoder: str, compiled: NDArray[np.float32], reference: NDArray[np.float32]) -> Parity:
    """Compares unit vectors (n, ndim) of the compiled encoder with PyTorch's."""
    cosines = (compiled * reference).sum(axis=1)
    return Parity(encoder, len(cosines), round(float(cosines.mean()), 5), round(float(cosines.min()), 5))


def _qrels(questions: Questions) -> list[ir_measures.Qrel]:
    return [
        # Below zero, as TREC grades spam, is not relevant; the evaluator crashes where all are below -1.
        ir_measures.Qrel(query, key, max(relevance, 0))
        for query, documents in questions.judgements.items()
        for key, relevance in documents.items()
    ]


def _run(rankings: Sequence[Ranked], questions: Questions) -> list[ir_measures.ScoredDoc]:
    return [
        # By place, not score: the evaluator would put equal scores, common in fusion, in an order of its own.
        ir_measures.ScoredDoc(query, key, -float(place))
        for query, ranking in zip(questions.texts, rankings, strict=True)
        for place, (key, _) in enumerate(ranking)
    ]
