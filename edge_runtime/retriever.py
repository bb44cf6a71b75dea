"""An open bundle: check what is asked, rank (see `ranker`), rerank (`second_stage`), fetch the texts.

The one path that the API, the command line and the benchmark all take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime import arguments, filters, info, question
from edge_runtime.candidates import Candidate
from edge_runtime.current import Current
from edge_runtime.deadline import Clock, Lap
from edge_runtime.hits import Hit, Results, hits
from edge_runtime.info import Info
from edge_runtime.lexical import MAX_QUERY_CHARS
from edge_runtime.parts import Parts
from edge_runtime.question import Mode, Where
from edge_runtime.source import Source
from edge_runtime.turnstile import Turnstile

if TYPE_CHECKING:
    from edge_runtime.duplicates import Duplicate
    from edge_runtime.snippets import Snippet


class Retriever:
    """An open bundle that answers queries. Thread-safe; use it as a context manager or `close` it."""

    def __init__(self, source: Source, *, follow: bool = False) -> None:
        """See `edge_runtime.open`, which is this. Raises as it does."""
        self._current = Current(source, follow=follow)
        self._turnstile = Turnstile()

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
        with self._current.answering() as parts:
            parts.bundle.prefetch()
            parts.ranker.warm_up(Clock(parts.pace))
            if rerank:
                parts.second.warm_up(Clock(parts.pace))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Query vectors, float32 (n, ndim), of unit length.

        Raises:
            QueryError: not a list of non-blank texts.
        """
        cleaned = [arguments.clean(text) for text in arguments.texts(texts)]
        with self._current.answering() as parts:
            vectors = [parts.tower.encode(parts.tower.tokenize(text)) for text in cleaned]
            return np.stack(vectors) if vectors else np.empty((0, parts.tower.ndim), np.float32)

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
        k = arguments.whole(k, "k")
        with self._current.answering() as parts:
            ranked = similar.to(
                key,
                min(k, parts.bundle.manifest.documents.documents),
                where=tree,
                manifest=parts.bundle.manifest,
                dense=parts.dense,
                documents=parts.documents,
            )
            return _fetched(ranked, parts)

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
            ClosedError: after `close` or `reload`, also from the iterator.
        """
        from edge_runtime import duplicates

        threshold = arguments.fraction(threshold, "threshold")
        with self._current.answering() as parts:
            return duplicates.find(
                threshold,
                manifest=parts.bundle.manifest,
                dense=parts.dense,
                documents=parts.documents,
                gate=parts.gate,
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
        with self._current.answering() as parts:
            stemmer = parts.bundle.manifest.lexical.stemmer
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
        with self._current.answering() as parts:
            asked = question.check(query, parts.bundle.manifest, k=k, mode=mode, where=where, rerank=rerank)
            clock = Clock(parts.pace, deadline_ms=limit, lap=lap)
            with self._turnstile.turn():
                clock.begin()
                allowed = None
                if asked.where is not None:
                    allowed = parts.documents.allowed(asked.where)
                    clock.lap("filter")
                wanted = asked.candidates
                ranked = parts.ranker.rank(asked.text, wanted, mode=mode, allowed=allowed, clock=clock)
                ranked = parts.second.rerank(ranked, asked, clock)
                found = _fetched(ranked.candidates[: asked.k], parts)
                clock.lap("fetch")
        return Results(found, encoder=ranked.encoder, dropped=ranked.dropped)

    def tokenize(self, text: str) -> list[int]:
        """The token ids that the encoder is given for a query, its prompt included.

        Raises:
            QueryError: not text, or blank.
            ClosedError: after `close`.
        """
        cleaned = arguments.clean(text, "text")
        with self._current.answering() as parts:
            return parts.tower.tokenize(cleaned)

    def info(self) -> Info:
        """What is open."""
        parts = self._current.parts
        return info.of(parts.bundle.manifest, encoder=parts.tower.id, engine=parts.tower.engine)

    def reload(self) -> bool:
        """Opens the bundle that is there now, if it is another one; searches under way end with the old one.

        It costs two system calls where nothing has changed. What is there is what the installed name stands
        for, or the directory.

        Returns:
            Whether another bundle answers from now on.

        Raises:
            Error: as `edge_runtime.open` does; the bundle that was open goes on answering.
            ClosedError: after `close`.
        """
        return self._current.exchange()

    def close(self) -> None:
        """Waits for searches under way, then frees everything. Calling it again does nothing.

        A signal handler may call it, too: the search that it has interrupted goes on, then frees everything.
        """
        self._current.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fetched(ranked: Sequence[Candidate], parts: Parts) -> list[Hit]:
    return hits(ranked, parts.documents.fetch([candidate.row for candidate in ranked]))
