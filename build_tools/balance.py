"""The balance of meaning and words, learnt from labelled pairs where a recipe names some (`fusion.labels`).

Pairs that students learnt from would mislead: a student finds their answers better than any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from build_tools import evaluate
from build_tools.evaluate import Questions, Ranked
from build_tools.first_stage import FirstStage
from edge_runtime.manifest import FusionSpec

MIN_QUERIES, MAX_QUERIES = 100, 1000
"""With fewer nothing is learnt: the first 25 and 50 of scifact's train split led away from what is best on
its test split, 100 and more did not.
"""

BALANCES = tuple(round(0.4 * step, 1) for step in range(-6, 16))
"""What is tried, -2.4 to 6; beyond, one of both sides is all but silent."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """A balance, and mean nDCG@10 on the labelled queries with it and with the recipe's own."""

    balance: float
    ndcg: float
    before: float


def learn(
    spec: FusionSpec,
    questions: Questions,
    vectors: NDArray[np.float32],
    first: FirstStage,
    keys: Sequence[str],
) -> Learnt:
    """The balance nearest to the recipe's that the best one does not beat by two standard errors.

    A few dozen queries agree with many balances; then the recipe's own stays, which was chosen on more.

    Args:
        vectors: the teacher's, float32 (questions, ndim).
        keys: document keys by number.
    """
    rankings: dict[float, list[Ranked]] = {balance: [] for balance in sorted({*BALANCES, spec.balance})}
    for text, vector in zip(questions.texts.values(), vectors, strict=True):
        found = first.found(text, vector)  # holds the score of each passage that has a word of the query
        for balance, ranked in rankings.items():
            fused = found.fused(replace(spec, balance=balance), 10)
            ranked.append([(keys[first.owners[each.row]], each.score) for each in fused])
    tried = {balance: evaluate.ndcg_by_query(ranked, questions) for balance, ranked in rankings.items()}
    best = max(tried.values(), key=lambda values: float(values.mean()))
    good = [balance for balance, values in tried.items() if not _clearly_less(values, best)]
    chosen = min(good, key=lambda balance: abs(balance - spec.balance))
    return Learnt(chosen, float(tried[chosen].mean()), float(tried[spec.balance].mean()))


def _clearly_less(values: NDArray[np.float64], best: NDArray[np.float64]) -> bool:
    """By more than two standard errors of the difference, query by query."""
    lost = best - values
    error = float(lost.std(ddof=1)) / len(lost) ** 0.5 if len(lost) > 1 else float("inf")
    return float(lost.mean()) > 2 * error
