"""What a search answers with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.candidates import Candidate, Evidence
from edge_runtime.documents import Record


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers the query, shown by its best passage.

    Attributes:
        key: the document's key in its source.
        score: higher is better; comparable within one result only. Cosine in dense mode, BM25 in lexical
            mode, in hybrid mode the sum of what both stages add; after reranking the cross-encoder's, and for
            hits that it has not read as docs/search.md says.
        text: the passage.
        passage: the passage's position in its document, from 0.
        dense: rank, cosine and part of the score, where the dense index found it.
        lexical: rank, BM25 score and part of the score, where it shares words with the query.
        rerank: rank and score by the cross-encoder, where it has read the passage; the parts of `dense` and
            `lexical` are then those of the score before.
    """

    key: str
    score: float
    title: str
    text: str
    metadata: Mapping[str, Any]
    passage: int
    dense: Evidence | None
    lexical: Evidence | None
    rerank: Evidence | None = None

    def __hash__(self) -> int:
        return hash((self.key, self.passage, self.score))  # the metadata is a dictionary, which has none


class Results(list[Hit]):
    """The hits of one search, best first: a list that says how they were found.

    Attributes:
        encoder: id of the encoder that the query went through; None where words alone answered.
        dropped: what a deadline left no time for: ``"rerank"``, the order is the search's own;
            ``"encoder"``, a smaller one took its place; ``"dense"``, words answered alone. Empty when nothing
            was.
    """

    def __init__(
        self, found: Iterable[Hit] = (), *, encoder: str | None = None, dropped: tuple[str, ...] = ()
    ) -> None:
        super().__init__(found)
        self.encoder, self.dropped = encoder, dropped


def hits(ranked: Sequence[Candidate], records: Sequence[Record]) -> list[Hit]:
    """Candidates with their texts, in order; `records` are those of their rows."""
    return [
        Hit(
            key=record.key,
            score=candidate.score,
            title=record.title,
            text=record.text,
            metadata=record.metadata,
            passage=record.ordinal,
            dense=candidate.dense,
            lexical=candidate.lexical,
            rerank=candidate.rerank,
        )
        for candidate, record in zip(ranked, records, strict=True)
    ]
