"""The first stage that a reranker gets its candidates from: BM25 and exact dense search, fused.

It fuses as the device does, and reads the stages of a build, so it needs no bundle and no student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from build_tools.fusion import settings
from build_tools.recipe import FusionSpec
from edge_runtime import candidates, fusion, manifest
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate, Grouped
from edge_runtime.lexical import LexicalIndex
from edge_runtime.ranking import Ranking


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The document vectors, the word index, and how they are fused.

    Attributes:
        vectors: float32 (passages, ndim), of unit length; may be mapped.
        owners: document number of each row, never falling.
    """

    vectors: NDArray[np.float32]
    owners: NDArray[np.int32]
    words: LexicalIndex
    spec: FusionSpec

    def dense(self, vector: NDArray[np.float32]) -> Grouped:
        """The documents nearest to a query vector (ndim,), by their best passage."""
        scores = np.asarray(self.vectors @ vector, np.float32)
        rows = np.argsort(-scores, kind="stable")
        return self._grouped(Ranking(rows, scores[rows]))

    def lexical(self, text: str) -> Grouped:
        """The documents that share words with a query, by their best passage."""
        return self._grouped(self.words.search(text, len(self.owners)))

    def fused(self, text: str, vector: NDArray[np.float32]) -> list[Candidate]:
        """Both, as the recipe says; what cosines are by chance is what they are for this query."""
        scores = self.words.scores(text)
        spec = settings(self.spec, vector[np.newaxis], self.vectors)
        words = self._grouped(scores.best(len(self.owners)))
        return fusion.fuse(self.dense(vector), words, scores, spec=spec, limit=spec.depth)

    def _grouped(self, ranking: Ranking) -> Grouped:
        return candidates.group(ranking, self.owners[ranking.rows], self.spec.depth)


def open_words(stage: Path, spec: manifest.LexicalSpec) -> LexicalIndex:
    """The word index that the stage in this folder has written."""
    return LexicalIndex.open(cast(Bundle, _Files(stage)), spec)


@dataclass(frozen=True, slots=True)
class _Files:
    """What the word index asks of a bundle, from a folder that is none yet."""

    root: Path

    def map(self, member: str) -> memoryview:
        return memoryview((self.root / member).read_bytes())

    def array(self, member: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.root / member, mmap_mode="r")
        return array


def by_logit(ranked: Sequence[Candidate], logits: NDArray[np.float32]) -> list[Candidate]:
    """Candidates in the order of the reranker's scores; those beyond the scored ones follow as they were."""
    return _reordered(ranked, logits)


def by_sum(ranked: Sequence[Candidate], logits: NDArray[np.float32]) -> list[Candidate]:
    """The same by the sum of both scores, fusion's and reranker's, each scaled to 0 to 1 within the list."""
    fused = np.array([candidate.score for candidate in ranked[: len(logits)]])
    return _reordered(ranked, _scaled(fused) + _scaled(logits.astype(np.float64)))


def _reordered(ranked: Sequence[Candidate], scores: NDArray[Any]) -> list[Candidate]:
    order = np.argsort(-scores, kind="stable").tolist()
    return [ranked[place] for place in order] + list(ranked[len(order) :])


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = np.ptp(scores) if len(scores) else 0.0
    return (scores - scores.min()) / spread if spread else np.zeros_like(scores)
