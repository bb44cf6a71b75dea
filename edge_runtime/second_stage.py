"""Reranking: the bundle's cross-encoder reads the first documents of a search and orders them anew.

The dearest stage by far, so the first to be left out when a deadline is near, and the one that loads its
model only when somebody asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate, Evidence
from edge_runtime.deadline import RERANK, Clock
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.errors import QueryError
from edge_runtime.question import Question
from edge_runtime.ranker import Ranked

if TYPE_CHECKING:
    from edge_runtime.reranker import Reranker

WARM_UP_PASSAGES = 4

_CHARACTERS_A_TOKEN = 6  # more than text has; what is longer is cut and costs nothing


class SecondStage:
    """Reorders what the ranker found. Thread-safe; `close` it when no search is under way."""

    def __init__(self, bundle: Bundle, documents: Documents, *, config: DeviceConfig = DEFAULT) -> None:
        """The documents stay the caller's to close."""
        self._bundle, self._documents, self._config = bundle, documents, config
        self._spec = bundle.manifest.reranker
        self._loaded: Reranker | None = None
        self._lock = threading.Lock()

    def rerank(self, ranked: Ranked, question: Question, clock: Clock) -> Ranked:
        """The same documents, the first `question.depth` of them in the cross-encoder's order.

        With a deadline they stay as they are where something else was dropped already, where reading them is
        not expected to end in time, or where it does not; "rerank" is the first of what was dropped then.

        Raises:
            BundleError: a text or the tokenizer cannot be used.
            EngineError: onnxruntime is missing or refuses the model.
        """
        first = ranked.candidates[: question.depth]
        if not first:
            return ranked
        scores = None if ranked.dropped else self._scores_in_time(question.text, first, clock)
        if scores is None:
            return replace(ranked, dropped=(RERANK, *ranked.dropped))
        return replace(ranked, candidates=reordered(ranked.candidates, scores))

    def warm_up(self, clock: Clock) -> None:
        """Loads the model and times it on a few passages of the bundle.

        Raises:
            QueryError: the bundle has no reranker.
            Error: as `rerank`.
        """
        if self._spec is None:
            raise QueryError(f"rerank: bundle {self._bundle.manifest.name} has no reranker to warm up")
        rows = range(min(WARM_UP_PASSAGES, self._bundle.manifest.documents.passages))
        passages = [record.content for record in self._documents.fetch(rows)]
        self._score(passages[0], passages[:1], clock)  # the first run is slower than all others
        clock.begin()
        self._score(passages[0], passages, clock)
        clock.lap_reranking(self._characters(passages[0], passages))

    def score(self, query: str, rows: Sequence[int]) -> list[float]:
        """The cross-encoder's scores of passages, by row. Raises as `rerank` does."""
        model = self._reranker()
        passages = (record.content for record in self._documents.fetch(rows))
        return [model.score(model.tokenize(query, passage)) for passage in passages]

    def close(self) -> None:
        """Frees the model."""
        if self._loaded is not None:
            self._loaded.close()

    def _scores_in_time(self, query: str, first: Sequence[Candidate], clock: Clock) -> list[float] | None:
        """The scores of candidates; None where a deadline leaves no time for all of them."""
        records = self._documents.fetch([candidate.row for candidate in first])
        passages = [record.content for record in records]
        clock.lap("texts")
        characters = self._characters(query, passages)
        if clock.limited and not clock.pace.fits_reranking(characters, clock.left):
            return None
        self._reranker()
        clock.begin()  # loading is no part of the pace
        scores = self._score(query, passages, clock)
        clock.lap_reranking(self._characters(query, passages[: len(scores)]))
        return scores if len(scores) == len(passages) else None

    def _score(self, query: str, passages: Sequence[str], clock: Clock) -> list[float]:
        """At least one score; not all of them where the deadline passes meanwhile."""
        model = self._reranker()
        scores: list[float] = []
        for passage in passages:
            if scores and clock.left <= 0:
                break
            scores.append(model.score(model.tokenize(query, passage)))
        return scores

    def _characters(self, query: str, passages: Sequence[str]) -> int:
        most = _CHARACTERS_A_TOKEN * self._spec.max_tokens if self._spec else 0
        return sum(min(len(query) + len(passage), most) for passage in passages)

    def _reranker(self) -> Reranker:
        with self._lock:
            if self._loaded is None:
                from edge_runtime.reranker import Reranker  # most searches need none of it

                assert self._spec is not None  # `Question.depth` is 0 without one
                self._loaded = Reranker.load(self._bundle, self._spec, config=self._config)
            return self._loaded


def reordered(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[Candidate]:
    """The first candidates by these scores of theirs, highest first; the others follow as they were.

    The score of one that was read is the cross-encoder's. The others stay as far below the last of those as
    they were before, so scores fall from the first hit to the last.
    """
    order = sorted(range(len(scores)), key=lambda place: -scores[place])  # stable: equal ones stay in order
    read = [
        replace(candidates[place], score=scores[place], rerank=Evidence(rank, scores[place], scores[place]))
        for rank, place in enumerate(order, start=1)
    ]
    last, lowest = candidates[len(scores) - 1].score, min(scores)
    return read + [
        replace(candidate, score=lowest - (last - candidate.score)) for candidate in candidates[len(scores) :]
    ]
