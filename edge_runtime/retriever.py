"""An open bundle: check what is asked, rank (see `ranker`), rerank (`second_stage`), fetch the texts.

The one path that the API, the command line and the benchmark all take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime import arguments, filters, info, question
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate
from edge_runtime.deadline import Clock, Lap, Pace
from edge_runtime.dense import DenseIndex
from edge_runtime.device_config import DEFAULT, MAX_THREADS, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.gate import Gate
from edge_runtime.hits import Hit, Results, hits
from edge_runtime.info import Info
from edge_runtime.lexical import MAX_QUERY_CHARS, LexicalIndex
from edge_runtime.question import Mode, Where
from edge_runtime.ranker import Ranker
from edge_runtime.second_stage import SecondStage
from edge_runtime.tower import QueryTower
from edge_runtime.turnstile import Turnstile

if TYPE_CHECKING:
    from edge_runtime.duplicates import Duplicate
    from edge_runtime.snippets import Snippet


class Retriever:
    """An open bundle that answers queries. Thread-safe; use it as a context manager or `close` it."""

    def __init__(
        self,
        bundle: Bundle,
        tower: QueryTower,
        *,
        dense: DenseIndex,
        lexical: LexicalIndex,
        documents: Documents,
        config: DeviceConfig = DEFAULT,
    ) -> None:
        """Takes finished parts, and closes them when it is closed."""
        self._bundle, self._tower = bundle, tower
        self._dense, self._documents = dense, documents
        self._ranker = Ranker(bundle, tower, dense=dense, lexical=lexical, documents=documents, config=config)
        self._second = SecondStage(bundle, documents, config=config)
        self._gate, self._pace, self._turnstile = Gate(), Pace(), Turnstile()

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        encoder: str | None = None,
        threads: int | None = None,
        config: DeviceConfig = DEFAULT,
    ) -> Retriever:
        """Loads every part of a verified bundle.

        Args:
            bundle: closed with the retriever.
            encoder: an id (not "auto"); the first when None.
            threads: in place of those of `config`.
            config: what the encoder should run on.

        Raises:
            BundleError: a part cannot be used.
            EngineError: the encoder's engine is missing or refuses it.
            QueryError: no such encoder, or `threads` is not a whole number from 1 to 256.
        """
        if threads is not None:
            config = replace(config, threads=arguments.whole(threads, "threads", most=MAX_THREADS))
        manifest = bundle.manifest
        # Before usearch is imported, see `DenseIndex.open`.
        tower = QueryTower.load(bundle, manifest.encoder(encoder), config=config)
        return cls(
            bundle,
            tower,
            dense=DenseIndex.open(bundle, manifest.index),
            lexical=LexicalIndex.open(bundle, manifest.lexical),
            documents=Documents.open(bundle, manifest.documents),
            config=config,
        )

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        where: Where | None = None,
        rerank: bool | int | None = None,
        deadline_ms: float | None = None,
    ) -> Results:
        """The best `k` documents, best first; fewer only when the corpus, the filter or, in lexical mode, the
        words have no more.

        Args:
            where: a filter by metadata, such as ``{"year": {"gte": 2020}}``; see docs/search.md.
            rerank: True lets the bundle's cross-encoder read the first documents and order them anew, as many
                as the bundle says; a number, so many. It is loaded when first asked for.
            deadline_ms: milliseconds from now within which to answer, with less than the best if need be: no
                reranking, then a smaller encoder, then words alone. `Results.dropped` says what was left out.

        Raises:
            QueryError: an argument cannot be used, or `rerank` is asked of a bundle that has no reranker.
            EngineError: the reranker's engine is missing, or refuses it.
            ClosedError: after `close`.
        """
        return self.search_in_laps(query, k=k, mode=mode, where=where, rerank=rerank, deadline_ms=deadline_ms)

    def search_batch(
        self,
        queries: Sequence[str],
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        where: Where | None = None,
        rerank: bool | int | None = None,
        deadline_ms: float | None = None,
    ) -> list[Results]:
        """`search` for each query, in order; each has `deadline_ms` of its own, neighbours change nothing."""
        ask = partial(self.search, k=k, mode=mode, where=where, rerank=rerank, deadline_ms=deadline_ms)
        return [ask(query) for query in arguments.texts(queries)]

    def warm_up(self, *, rerank: bool = False) -> None:
        """Reads the indexes into memory and times every encoder that a deadline may ask for.

        Without it the first queries are slower, and learn what a deadline allows as they go. With `rerank`
        that includes the reranker, which is loaded.

        Raises:
            QueryError: `rerank`, and there is none.
            EngineError: it cannot run here.
        """
        with self._gate.passage():
            self._bundle.prefetch()
            self._ranker.warm_up(Clock(self._pace))
            if rerank:
                self._second.warm_up(Clock(self._pace))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Query vectors, float32 (n, ndim), of unit length.

        Raises:
            QueryError: not a list of non-blank texts.
        """
        cleaned = [arguments.clean(text) for text in arguments.texts(texts)]
        with self._gate.passage():
            vectors = [self._tower.encode(self.tokenize(text)) for text in cleaned]
        return np.stack(vectors) if vectors else np.empty((0, self._tower.ndim), np.float32)

    def similar(self, key: str, *, k: int = 10, where: Where | None = None) -> list[Hit]:
        """The `k` documents most like the one with this key, itself left out, best first.

        No encoder runs: the vectors are those of the index. A document's score is the cosine of the best pair
        of passages, one of either; the hit shows its own. docs/search.md says what it costs.

        Args:
            where: as for `search`; the document itself need not be allowed.

        Raises:
            QueryError: no document has the key, or an argument cannot be used.
            ClosedError: after `close`.
        """
        from edge_runtime import similar

        tree = None if where is None else filters.parse(where)
        arguments.text(key, "key")
        k = min(arguments.whole(k, "k"), self._bundle.manifest.documents.documents)
        with self._gate.passage():
            ranked = similar.to(
                key,
                k,
                where=tree,
                manifest=self._bundle.manifest,
                dense=self._dense,
                documents=self._documents,
            )
            return self._fetch(ranked)

    def duplicates(
        self, threshold: float = 0.95, *, progress: Callable[[int, int], object] | None = None
    ) -> Iterator[Duplicate]:
        """Pairs of different documents that have nearly the same passage, each pair once, as they are found.

        All of them, by the int8 vectors, where the index is searched exactly; a graph may miss some. What it
        costs is in docs/search.md. Memory does not grow with what is found; stop when you have enough.

        Args:
            threshold: least cosine of the most similar passages of a pair, above 0 and up to 1.
            progress: called with how much is done, and of how much.

        Raises:
            QueryError: `threshold` is something else.
            ClosedError: after `close`, also from the iterator.
        """
        from edge_runtime import duplicates

        threshold = arguments.fraction(threshold, "threshold")
        with self._gate.passage():
            pass
        return duplicates.find(
            threshold,
            manifest=self._bundle.manifest,
            dense=self._dense,
            documents=self._documents,
            gate=self._gate,
            progress=progress,
        )

    def pair_score(self, a: str, b: str) -> float:
        """How alike two texts are: the cosine, -1 to 1, of their vectors by the query encoder.

        That is what both would ask for. Where documents have a tower of their own, or a prompt, it is not the
        score that one text gets as a document for the other; and both are cut where queries are.

        Raises:
            QueryError: one is not text, or blank.
            ClosedError: after `close`.
        """
        one, two = self.encode([arguments.clean(a, "a"), arguments.clean(b, "b")])
        return min(1.0, max(-1.0, float(one @ two)))

    def snippet(self, source: Hit | str, query: str, *, max_chars: int = 200) -> Snippet:
        """The part of a hit's passage, or any text, that has most of the query's words, and where they are.

        Words are matched as the word index does it, stemmed and in parts. No encoder runs.

        Raises:
            QueryError: `source` is neither, or another argument cannot be used.
            ClosedError: after `close`.
        """
        from edge_runtime import snippets

        text = source.text if isinstance(source, Hit) else arguments.text(source, "source")
        cleaned = arguments.clean(query)[:MAX_QUERY_CHARS]
        max_chars = arguments.whole(max_chars, "max_chars")
        with self._gate.passage():
            stemmer = self._bundle.manifest.lexical.stemmer
            return snippets.snippet(text, cleaned, max_chars=max_chars, stemmer=stemmer)

    def search_in_laps(
        self,
        query: str,
        *,
        k: int,
        mode: Mode,
        where: Where | None = None,
        rerank: bool | int | None = None,
        deadline_ms: float | None = None,
        lap: Lap | None = None,
    ) -> Results:
        """`search`, calling ``lap(stage)`` as each stage ends, for measurements."""
        limit = None if deadline_ms is None else arguments.positive(deadline_ms, "deadline_ms")
        clock = Clock(self._pace, deadline_ms=limit, lap=lap)
        asked = question.check(query, self._bundle.manifest, k=k, mode=mode, where=where, rerank=rerank)
        with self._gate.passage(), self._turnstile.turn():
            clock.begin()
            allowed = None
            if asked.where is not None:
                allowed = self._documents.allowed(asked.where)
                clock.lap("filter")
            wanted = asked.candidates
            ranked = self._ranker.rank(asked.text, wanted, mode=mode, allowed=allowed, clock=clock)
            ranked = self._second.rerank(ranked, asked, clock)
            found = self._fetch(ranked.candidates[: asked.k])
            clock.lap("fetch")
        return Results(found, encoder=ranked.encoder, dropped=ranked.dropped)

    def tokenize(self, text: str) -> list[int]:
        """The token ids that the encoder is given for a query, its prompt included."""
        return self._tower.tokenize(text)

    def info(self) -> Info:
        """What is open."""
        return info.of(self._bundle.manifest, encoder=self._tower.id, engine=self._tower.engine)

    def close(self) -> None:
        """Waits for searches under way, then frees everything. Calling it again does nothing."""
        if self._gate.shut():
            for part in (self._ranker, self._second, self._documents, self._bundle):
                part.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch(self, ranked: Sequence[Candidate]) -> list[Hit]:
        return hits(ranked, self._documents.fetch([candidate.row for candidate in ranked]))
