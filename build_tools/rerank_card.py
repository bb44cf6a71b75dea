"""How well a reranker reorders what the first stage found: rows of a quality card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools import evaluate, shards
from build_tools.distill.cross_encoder import SCORES, Pair, Scorer
from build_tools.evaluate import Questions, Ranked
from build_tools.first_stage import FirstStage, by_logit, by_sum
from build_tools.quality import Row
from edge_runtime.candidates import Candidate, Grouped

DEPTH = 50
"""Documents of each query that the reranker reads."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Queries with what the first stage finds for them.

    Attributes:
        targets: the teacher's query vectors (n, ndim), in the order of ``questions.texts``.
        fused: for each query the fused candidates, best first.
        keys: document keys by number.
    """

    questions: Questions
    targets: NDArray[np.float32]
    first: FirstStage
    fused: Sequence[Sequence[Candidate]]
    keys: Sequence[str]

    @classmethod
    def find(
        cls, questions: Questions, targets: NDArray[np.float32], first: FirstStage, keys: Sequence[str]
    ) -> Judged:
        """Runs the first stage."""
        texts = questions.texts.values()
        fused = [first.fused(text, target) for text, target in zip(texts, targets, strict=True)]
        return cls(questions, targets, first, fused, keys)

    def rows(self, depth: int) -> set[int]:
        """The passages that the reranker reads."""
        return {candidate.row for found in self.fused for candidate in found[:depth]}

    def pairs(self, contents: Mapping[int, str], depth: int) -> list[Pair]:
        """Every query with each of its first `depth` passages."""
        return [
            (text, contents[candidate.row])
            for text, found in zip(self.questions.texts.values(), self.fused, strict=True)
            for candidate in found[:depth]
        ]

    def split(self, logits: NDArray[np.float32], depth: int) -> list[NDArray[np.float32]]:
        """The scores of `pairs`, query by query."""
        ends = np.cumsum([len(found[:depth]) for found in self.fused])
        return np.split(logits, ends[:-1])

    def measure(self, system: str, rankings: Sequence[Sequence[Candidate]]) -> Row:
        """One row."""
        ranked = [[self._hit(candidate) for candidate in ranking] for ranking in rankings]
        return evaluate.measure(system, ranked, self.questions)

    def measure_stage(self, system: str, found: Sequence[Grouped]) -> Row:
        """One row of a single stage of the first stage."""
        ranked: list[Ranked] = [
            [
                (self.keys[document], float(score))
                for document, score in zip(one.documents, one.scores, strict=True)
            ]
            for one in found
        ]
        return evaluate.measure(system, ranked, self.questions)

    def _hit(self, candidate: Candidate) -> tuple[str, float]:
        return self.keys[self.first.owners[candidate.row]], candidate.score


def reranked_ndcg(judged: Judged, scorer: Scorer, contents: Mapping[int, str], depth: int) -> float:
    """nDCG@10 of reranking the first `depth`."""
    logits = judged.split(scorer.score(judged.pairs(contents, depth)), depth)
    return judged.measure("", list(map(by_logit, judged.fused, logits))).ndcg_10


def rows(
    judged: Judged,
    scorer: Scorer,
    contents: Mapping[int, str],
    directory: Path,
    *,
    advance: Callable[[int], None],
) -> tuple[Row, ...]:
    """The first stage, its two halves, and two ways of reranking it.

    Args:
        directory: where finished shards of scores are kept.
        advance: told how many more pairs are scored.

    Raises:
        ModelError: a score is not a number.
    """
    pairs = judged.pairs(contents, DEPTH)
    scores = shards.compute(
        pairs, len(pairs), directory / SCORES, spread=shards.one_by_one(scorer.score), advance=advance
    )
    logits = judged.split(np.array(scores), DEPTH)
    texts, first = judged.questions.texts.values(), judged.first
    return (
        judged.measure_stage("BM25", [first.lexical(text) for text in texts]),
        judged.measure_stage("teacher, exact float32", [first.dense(target) for target in judged.targets]),
        judged.measure("fusion of both", judged.fused),
        judged.measure(f"its top {DEPTH} reranked", list(map(by_logit, judged.fused, logits))),
        judged.measure(f"its top {DEPTH}, sum of both", list(map(by_sum, judged.fused, logits))),
    )
