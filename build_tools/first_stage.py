"""The first stage that a reranker gets its candidates from: BM25 and exact dense search, fused.

It fuses as the device does, and reads the stages of a build, so it needs no bundle and no student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build_tools import documents, loose
from build_tools.fusion import settings
from build_tools.recipe import FusionSpec
from edge_runtime import candidates, fusion, manifest
from edge_runtime.candidates import Candidate, Grouped
from edge_runtime.lexical import LexicalIndex
from edge_runtime.ranking import Ranking
from edge_runtime.word_scores import WordScores


@dataclass(frozen=True, slots=True)
class Found:
    """What both indexes say to one query, and the BM25 scores behind the one of words."""

    dense: Grouped
    lexical: Grouped
    scores: WordScores

    def fused(self, spec: manifest.FusionSpec, limit: int) -> list[Candidate]:
        """Both joined, the best `limit`."""
        return fusion.fuse(self.dense, self.lexical, self.scores, spec=spec, limit=limit)


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

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        corpus: Path,
        words: tuple[Path, manifest.LexicalSpec],
        spec: FusionSpec,
    ) -> FirstStage:
        """From the stages of a build.

        Args:
            corpus: the directory of the built documents (`build_tools.documents`).
            words: the word index's folder, and what the manifest says of it.
        """
        path, lexical = words
        stage = path.parents[len(Path(lexical.path).parts) - 1]
        return cls(vectors, documents.owners(corpus), open_words(stage, lexical), spec)

    def dense(self, vector: NDArray[np.float32]) -> Grouped:
        """The documents nearest to a query vector (ndim,), by their best passage."""
        scores = np.asarray(self.vectors @ vector, np.float32)
        rows = np.argsort(-scores, kind="stable")
        return self._grouped(Ranking(rows, scores[rows]))

    def lexical(self, text: str) -> Grouped:
        """The documents that share words with a query, by their best passage."""
        return self._grouped(self.words.search(text, len(self.owners)))

    def found(self, text: str, vector: NDArray[np.float32]) -> Found:
        """What both say to a query."""
        scores = self.words.scores(text)
        return Found(self.dense(vector), self._grouped(scores.best(len(self.owners))), scores)

    def fused(self, text: str, vector: NDArray[np.float32]) -> list[Candidate]:
        """Both, as the recipe says; what cosines are by chance is what they are for this query."""
        spec = settings(self.spec, vector[np.newaxis], self.vectors)
        return self.found(text, vector).fused(spec, spec.depth)

    def _grouped(self, ranking: Ranking) -> Grouped:
        return candidates.group(ranking, self.owners[ranking.rows], self.spec.depth)


def open_words(stage: Path, spec: manifest.LexicalSpec) -> LexicalIndex:
    """The word index that the stage in this folder has written."""
    return LexicalIndex.open(loose.bundle(stage), spec)


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
