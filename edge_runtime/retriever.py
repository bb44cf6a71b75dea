"""Encode, search by meaning and by words, fuse, fetch: the whole answer to a query.

The one path that the API, the command line and the benchmark all take.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_runtime import encoders, fusion
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
from edge_runtime.device_config import DEFAULT, MAX_THREADS, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.encoders import Encoder
from edge_runtime.errors import QueryError
from edge_runtime.fusion import Candidate, Evidence, Grouped
from edge_runtime.gate import Gate
from edge_runtime.lexical import LexicalIndex
from edge_runtime.manifest import EncoderSpec
from edge_runtime.ranking import Ranking
from edge_runtime.schema import shown
from edge_runtime.tokenizer import Tokenizer

Mode = Literal["hybrid", "dense", "lexical"]
Lap = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers the query, shown by its best passage.

    Attributes:
        key: the document's key in its source.
        score: higher is better; comparable within one result only. Reciprocal ranks in hybrid mode, cosine
            in dense mode, BM25 in lexical mode.
        text: the passage.
        passage: the passage's position in its document, from 0.
        dense: rank and cosine where the dense index found it.
        lexical: rank and BM25 score where the word index found it.
    """

    key: str
    score: float
    title: str
    text: str
    metadata: Mapping[str, Any]
    passage: int
    dense: Evidence | None
    lexical: Evidence | None


@dataclass(frozen=True, slots=True)
class Info:
    """What is open: the bundle, the encoder and the engine. `bytes` are those of the bundle's files."""

    name: str
    version: str
    created: str
    documents: int
    passages: int
    ndim: int
    encoder: str
    encoders: tuple[str, ...]
    engine: str
    search: str
    bytes: int


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
            config = replace(config, threads=_whole(threads, "threads", most=MAX_THREADS))
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

    def search(self, query: str, *, k: int = 10, mode: Mode = "hybrid") -> list[Hit]:
        """The best `k` documents, best first; fewer only when the corpus or, in lexical mode, the words
        have no more.

        Raises:
            QueryError: `query` is not text or blank, `k` is not a positive whole number, unknown `mode`.
            ClosedError: after `close`.
        """
        return self.search_in_laps(query, k=k, mode=mode, lap=_no_lap)

    def search_batch(self, queries: Sequence[str], *, k: int = 10, mode: Mode = "hybrid") -> list[list[Hit]]:
        """`search` for each query, in order; a query's hits do not depend on its neighbours."""
        return [self.search(query, k=k, mode=mode) for query in _texts(queries)]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Query vectors, float32 (n, ndim), of unit length.

        Raises:
            QueryError: not a list of non-blank texts.
        """
        cleaned = [_clean(text) for text in _texts(texts)]
        with self._gate.passage():
            vectors = [self._encoder.encode(self.tokenize(text)) for text in cleaned]
        return np.stack(vectors) if vectors else np.empty((0, self._spec.ndim), np.float32)

    def search_in_laps(self, query: str, *, k: int, mode: Mode, lap: Lap) -> list[Hit]:
        """`search`, calling ``lap(stage)`` as each stage ends, for measurements."""
        text, k = _clean(query), min(_whole(k, "k"), self._bundle.manifest.documents.documents)
        if not isinstance(mode, str) or mode not in get_args(Mode):
            raise QueryError(f"mode: expected one of {', '.join(get_args(Mode))}; found {shown(mode)}")
        with self._gate.passage():
            candidates = self._rank(text, k, mode, lap)
            hits = self._fetch(candidates)
            lap("fetch")
        return hits

    def tokenize(self, text: str) -> list[int]:
        """The token ids that the encoder is given for a query, its prompt included."""
        return self._tokenizer.encode(self._spec.prompt + text)

    def info(self) -> Info:
        """What is open."""
        manifest = self._bundle.manifest
        return Info(
            name=manifest.name,
            version=manifest.version,
            created=manifest.created,
            documents=manifest.documents.documents,
            passages=manifest.documents.passages,
            ndim=manifest.index.ndim,
            encoder=self._spec.id,
            encoders=tuple(spec.id for spec in manifest.encoders),
            engine=self._encoder.engine,
            search=manifest.index.search,
            bytes=sum(entry.size for entry in manifest.files),
        )

    def close(self) -> None:
        """Waits for searches under way, then frees everything. Calling it again does nothing."""
        if self._gate.shut():
            for part in (self._encoder, self._dense, self._lexical, self._documents, self._bundle):
                part.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rank(self, text: str, k: int, mode: Mode, lap: Lap) -> list[Candidate]:
        settings = self._bundle.manifest.fusion
        wanted = max(k, settings.depth) if mode == "hybrid" else k
        if mode == "lexical":
            return fusion.single(self._by_words(text, wanted, lap), lexical=True)
        dense = self._by_meaning(text, wanted, lap)
        if mode == "dense":
            return fusion.single(dense, lexical=False)
        words = self._by_words(text, wanted, lap)
        candidates = fusion.fuse(dense, words, k=settings.k, limit=k)
        lap("fuse")
        return candidates

    def _by_meaning(self, text: str, wanted: int, lap: Lap) -> Grouped:
        token_ids = self.tokenize(text)
        lap("tokenize")
        vector = self._encoder.encode(token_ids)
        lap("encode")
        grouped = self._documents_of(lambda count: self._dense.search(vector, count), wanted)
        lap("dense")
        return grouped

    def _by_words(self, text: str, wanted: int, lap: Lap) -> Grouped:
        grouped = self._documents_of(lambda count: self._lexical.search(text, count), wanted)
        lap("lexical")
        return grouped

    def _documents_of(self, search: Callable[[int], Ranking], wanted: int) -> Grouped:
        """The first `wanted` documents of a passage search, asking for more passages until they are there."""
        spec = self._bundle.manifest.documents
        wanted = min(wanted, spec.documents)
        count = wanted * -(-spec.passages // spec.documents)
        while True:
            ranking = search(count)
            grouped = fusion.group(ranking, self._documents.owners(ranking.rows), wanted)
            exhausted = len(ranking) < count or count >= spec.passages
            if len(grouped.documents) == wanted or exhausted:
                return grouped
            count *= 4

    def _fetch(self, candidates: Sequence[Candidate]) -> list[Hit]:
        records = self._documents.fetch([candidate.row for candidate in candidates])
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
            )
            for candidate, record in zip(candidates, records, strict=True)
        ]


def _whole(value: int, name: str, *, most: int | None = None) -> int:
    """`value` as an int from 1 to `most`; NumPy's integers count, True does not."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or (most is not None and number > most):
        upper = "" if most is None else f" to {most}"
        raise QueryError(f"{name}: expected a whole number from 1{upper}; found {shown(value)}")
    return number


def _texts(values: Sequence[str]) -> Sequence[str]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise QueryError(f"expected a list of texts; found {type(values).__name__}")
    return values


def _clean(query: str) -> str:
    """The query as valid Unicode without blanks around it; lone surrogates, which no UTF-8 library takes,
    become question marks.
    """
    if not isinstance(query, str):
        raise QueryError(f"query: expected text; found {type(query).__name__}")
    text = query.strip()
    if not text:
        raise QueryError("query: expected some text; found none")
    return text.encode("utf-8", "replace").decode("utf-8")


def _no_lap(_: str) -> None:
    return None
