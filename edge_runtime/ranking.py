"""Ranked passages: what the dense and the lexical index both answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages from best to worst.

    Attributes:
        rows: int64 (n,), row numbers of the passages, each at most once.
        scores: float32 (n,), higher is better, never rising.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


def empty() -> Ranking:
    """A ranking of nothing."""
    return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


def best(rankings: Sequence[Ranking], count: int) -> Ranking:
    """The first `count` of rankings that share no row; equals in the order given."""
    rows = np.concatenate([each.rows for each in rankings])
    scores = np.concatenate([each.scores for each in rankings])
    order = np.argsort(-scores, kind="stable")[:count]
    return Ranking(rows[order], scores[order])
