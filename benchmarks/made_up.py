"""A made-up corpus of any size, with indexes of the real kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from build_tools import documents, fields, index, lexical, loose, recipe, tuning
from build_tools.corpus.document import Passage
from edge_runtime import manifest
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.dense import quantize
from edge_runtime.ranking import Ranking
from edge_runtime.selection import Selection

SHARES = {"half": 50.0, "tenth": 10.0, "hundredth": 1.0, "few": 0.01}
"""Values of the fields `chance` and `cluster`, and how many of a hundred documents have them."""

FIELDS = ("chance", "cluster", "serial")

Kind = Literal["exact", "hnsw", "two-stage", "pq"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_RECALL, _TUNING = 0.98, 100  # of so many queries that are not measured
_CLUSTERS = 2000
_VOCABULARY = 30_000
_TIE = 1e-5


@dataclass(frozen=True, slots=True)
class Made:
    """The corpus; a document is a passage.

    Attributes:
        indexes: each kind's files, and what the manifest would say of it.
        queries: float32 (queries, ndim), of unit length.
        questions: as many texts.
        cosines: float32 (queries, passages), of the int8 vectors.
    """

    folder: Path
    bundle: Bundle
    indexes: Mapping[str, tuple[Bundle, manifest.IndexSpec]]
    lexical: manifest.LexicalSpec
    queries: NDArray[np.float32]
    questions: Sequence[str]
    cosines: NDArray[np.float32]

    @property
    def passages(self) -> int:
        """How many there are."""
        return self.cosines.shape[1]

    @contextmanager
    def selection(self, indexed: Sequence[str]) -> Iterator[Selection]:
        """What filters ask, with an index of some fields."""
        opened = Selection(
            lambda: self.folder / documents.FILENAME,
            self.passages,
            fields=(lambda: self.folder / fields.FILENAME) if indexed else None,
            indexed=indexed,
        )
        yield opened
        opened.close()

    def recall(self, query: int, found: Ranking, count: int, allowed: Allowed | None) -> float:
        """The share of the best `count` allowed passages that were found; equals count for each other."""
        cosines = self.cosines[query] if allowed is None else self.cosines[query][allowed.mask]
        count = min(count, len(cosines))
        least = np.partition(cosines, len(cosines) - count)[len(cosines) - count]
        return float((self.cosines[query][found.rows] >= least - _TIE).sum()) / count


def make(
    folder: Path, passages: int, ndim: int, queries: int, seed: int = 0, kinds: Sequence[Kind] = KINDS
) -> Made:
    """Writes everything into `folder`, an index of each of the `kinds` in a folder of its own."""
    chance = np.random.default_rng(seed)
    fading = (1 / np.sqrt(np.arange(1, ndim + 1))).astype(np.float32)
    centres = chance.standard_normal((_CLUSTERS, ndim), np.float32) * fading
    sizes = chance.dirichlet(np.full(_CLUSTERS, 0.5))
    member = chance.choice(_CLUSTERS, passages, p=sizes)
    vectors = _units(centres[member] + 0.8 * chance.standard_normal((passages, ndim), np.float32) * fading)
    near = centres[chance.choice(_CLUSTERS, queries + _TUNING, p=sizes)]
    asked = _units(near + chance.standard_normal((queries + _TUNING, ndim), np.float32) * fading)
    asked, tuning_by = asked[:queries], asked[queries:]
    texts, questions = _words(chance, passages, 20), _words(chance, queries, 6)
    about = zip(_spread(chance.permutation(passages)), _spread(_by_cluster(chance, member)), strict=True)
    documents.write(_passages(texts, about), folder)
    fields.write(folder, FIELDS)
    indexes = dict(_indexes(kinds, vectors, tuning_by, folder))
    words = lexical.write(texts, folder, spec=recipe.LexicalSpec(stemmer="none"))
    scale = next(iter(indexes.values()))[1].scale
    cosines = _cosines(quantize(asked, scale), quantize(vectors, scale))
    return Made(folder, loose.bundle(folder), indexes, words, asked, questions, cosines)


def _indexes(
    kinds: Sequence[Kind], vectors: NDArray[np.float32], queries: NDArray[np.float32], folder: Path
) -> Iterator[tuple[str, tuple[Bundle, manifest.IndexSpec]]]:
    """One of each kind, which looks as far as held-out queries ask for."""
    for kind in kinds:
        place, wanted = folder / kind, recipe.IndexSpec(strategy=kind)
        place.mkdir()
        spec = index.write(vectors, place, spec=wanted, advance=lambda _: None)
        spec = tuning.tuned(
            spec, place, vectors, queries, wanted=wanted, recall=_RECALL, advance=lambda _: None
        )
        yield kind, (loose.bundle(place), spec)


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _cosines(queries: NDArray[np.int8], vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    return _units(queries.astype(np.float32)) @ _units(vectors.astype(np.float32)).T


def _words(chance: np.random.Generator, texts: int, length: int) -> list[str]:
    drawn = np.minimum(chance.zipf(1.3, (texts, length)), _VOCABULARY)
    return [" ".join(f"w{word}" for word in line) for line in drawn.tolist()]


def _by_cluster(chance: np.random.Generator, member: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each document's place in an order in which clusters follow each other, whole."""
    order = np.argsort(chance.permutation(_CLUSTERS)[member], kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _spread(places: NDArray[np.int64]) -> list[str]:
    """Which of `SHARES` each document has, by its place."""
    ends = np.cumsum([max(1, round(len(places) * share / 100)) for share in SHARES.values()])
    names = [*SHARES, "rest"]
    return [names[which] for which in np.searchsorted(ends, places, side="right").tolist()]


def _passages(texts: Sequence[str], about: Iterator[tuple[str, str]]) -> Iterator[Passage]:
    for serial, (text, (by_chance, by_cluster)) in enumerate(zip(texts, about, strict=True)):
        metadata = {"chance": by_chance, "cluster": by_cluster, "serial": serial, "note": text}
        yield Passage(str(serial), 0, "", text, metadata)
