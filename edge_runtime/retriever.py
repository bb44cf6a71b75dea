"""Encode, search by meaning and by words, fuse, fetch: the whole answer to a query.

The one path that the API, the command line and the benchmark all take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_runtime import arguments, candidates, encoders, filters, fusion, grouping, info
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate, Grouped
from edge_runtime.dense import DenseIndex
from edge_runtime.device_config import DEFAULT, MAX_THREADS, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.encoders import Encoder
from edge_runtime.errors import QueryError
from edge_runtime.gate import Gate
from edge_runtime.hits import Hit, hits
from edge_runtime.info import Info
from edge_runtime.lexical import MAX_QUERY_CHARS, LexicalIndex, WordScores
from edge_runtime.manifest import EncoderSpec
from edge_runtime.ranking import Ranking
from edge_runtime.schema import shown
from edge_runtime.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edge_runtime.duplicates import Duplicate
    from edge_runtime.snippets import Snippet

Mode = Literal["hybrid", "dense", "lexical"]
Where = Mapping[str, Any]
Lap = Callable[[str], object]


class Retriever:
    """An open bundle that answers queries. Thread-safe; use it as a context manager or `close` it."""

    def __init__(
        self,
        bundle: Bundle,
        spec: EncoderSpec,
        *,
        tokenizer: Tokenizer,
        encoder: Encoder,
        dense: DenseIndex,
        lexical: LexicalIndex,
        documents: Documents,
    ) -> None:
        """Takes finished parts, and closes them when it is closed."""
        self._bundle, self._spec = bundle, spec
        self._tokenizer, self._encoder = tokenizer, encoder
        self._dense, self._lexical, self._documents = dense, lexical, documents
        self._gate = Gate()

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
        spec = manifest.encoder(encoder)
        tokenizer = Tokenizer.load(bundle.path(spec.tokenizer), max_tokens=spec.max_tokens)
        # Before usearch is imported, see `DenseIndex.open`.
        engine = encoders.load(bundle, spec, config=config)
        return cls(
            bundle,
            spec,
            tokenizer=tokenizer,
            encoder=engine,
            dense=DenseIndex.open(bundle, manifest.index),
            lexical=LexicalIndex.open(bundle, manifest.lexical),
            documents=Documents.open(bundle, manifest.documents),
        )

    def search(
        self, query: str, *, k: int = 10, mode: Mode = "hybrid", where: Where | None = None
    ) -> list[Hit]:
        """The best `k` documents, best first; fewer only when the corpus, the filter or, in lexical mode, the
        words have no more.

        Args:
            where: what the documents' metadata must be like, such as ``{"year": {"gte": 2020}}``; see
                docs/search.md.

        Raises:
            QueryError: `query` is not text or blank, `k` is not a positive whole number, unknown `mode`, or
                `where` is no filter.
            ClosedError: after `close`.
        """
        return self.search_in_laps(query, k=k, mode=mode, where=where, lap=_no_lap)

    def search_batch(
        self, queries: Sequence[str], *, k: int = 10, mode: Mode = "hybrid", where: Where | None = None
    ) -> list[list[Hit]]:
        """`search` for each query, in order; a query's hits do not depend on its neighbours."""
        return [self.search(query, k=k, mode=mode, where=where) for query in arguments.texts(queries)]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Query vectors, float32 (n, ndim), of unit length.

        Raises:
            QueryError: not a list of non-blank texts.
        """
        cleaned = [arguments.clean(text) for text in arguments.texts(texts)]
        with self._gate.passage():
            vectors = [self._encoder.encode(self.tokenize(text)) for text in cleaned]
        return np.stack(vectors) if vectors else np.empty((0, self._spec.ndim), np.float32)

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
            rows = self._documents.rows(key)
            if not len(rows):
                raise QueryError(f"key: no document has the key {shown(key)}; a hit's `key` is one")
            allowed = None if tree is None else self._documents.allowed(tree)
            ranked = similar.nearest(
                rows,
                k,
                allowed=allowed,
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
        self, query: str, *, k: int, mode: Mode, lap: Lap, where: Where | None = None
    ) -> list[Hit]:
        """`search`, calling ``lap(stage)`` as each stage ends, for measurements."""
        text = arguments.clean(query)
        k = min(arguments.whole(k, "k"), self._bundle.manifest.documents.documents)
        if not isinstance(mode, str) or mode not in get_args(Mode):
            raise QueryError(f"mode: expected one of {', '.join(get_args(Mode))}; found {shown(mode)}")
        tree = None if where is None else filters.parse(where)
        with self._gate.passage():
            allowed = None
            if tree is not None:
                allowed = self._documents.allowed(tree)
                lap("filter")
            found = self._fetch(self._rank(text, k, mode, lap, allowed))
            lap("fetch")
        return found

    def tokenize(self, text: str) -> list[int]:
        """The token ids that the encoder is given for a query, its prompt included."""
        return self._tokenizer.encode(self._spec.prompt + text)

    def info(self) -> Info:
        """What is open."""
        return info.of(self._bundle.manifest, encoder=self._spec.id, engine=self._encoder.engine)

    def close(self) -> None:
        """Waits for searches under way, then frees everything. Calling it again does nothing."""
        if self._gate.shut():
            for part in (self._encoder, self._dense, self._lexical, self._documents, self._bundle):
                part.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rank(self, text: str, k: int, mode: Mode, lap: Lap, allowed: Allowed | None) -> list[Candidate]:
        if allowed is not None and allowed.documents == 0:
            return []
        settings = self._bundle.manifest.fusion
        wanted = max(k, settings.depth) if mode == "hybrid" else k
        if mode == "lexical":
            return candidates.single(self._by_words(text, wanted, lap, allowed)[0], lexical=True)
        dense = self._by_meaning(text, wanted, lap, allowed)
        if mode == "dense":
            return candidates.single(dense, lexical=False)
        words, scores = self._by_words(text, wanted, lap, allowed)
        fused = fusion.fuse(dense, words, scores, spec=settings, limit=k)
        lap("fuse")
        return fused

    def _by_meaning(self, text: str, wanted: int, lap: Lap, allowed: Allowed | None) -> Grouped:
        token_ids = self.tokenize(text)
        lap("tokenize")
        vector = self._encoder.encode(token_ids)
        lap("encode")
        search = partial(self._dense.search, vector, allowed=allowed)
        grouped = self._documents_of(search, wanted, allowed)
        lap("dense")
        return grouped

    def _by_words(
        self, text: str, wanted: int, lap: Lap, allowed: Allowed | None
    ) -> tuple[Grouped, WordScores]:
        scores = self._lexical.scores(text)
        grouped = self._documents_of(partial(scores.best, allowed=allowed), wanted, allowed)
        lap("lexical")
        return grouped, scores

    def _documents_of(
        self, search: Callable[[int], Ranking], wanted: int, allowed: Allowed | None
    ) -> Grouped:
        among = allowed or self._bundle.manifest.documents
        return grouping.first_documents(search, wanted, documents=self._documents, among=among)

    def _fetch(self, ranked: Sequence[Candidate]) -> list[Hit]:
        return hits(ranked, self._documents.fetch([candidate.row for candidate in ranked]))


def _no_lap(_: str) -> None:
    return None
