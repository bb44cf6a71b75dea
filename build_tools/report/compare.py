"""A rung against its teacher, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from build_tools import evaluate
from build_tools.evaluate import Questions, Ranked
from build_tools.report.data import Comparison, QueryOutcome

SHOWN = 15
"""Wins, and losses, that a report lists."""

_BLOCKS, _BLOCK = 100, 100
"""10,000 resamples, a block at a time to bound the memory."""


def compare(questions: Questions, teacher: Sequence[Ranked], rung: Sequence[Ranked]) -> Comparison:
    """Both systems' rankings, in the order of ``questions.texts``, as one comparison."""
    teacher_ndcg = evaluate.ndcg_by_query(teacher, questions)
    rung_ndcg = evaluate.ndcg_by_query(rung, questions)
    outcomes = [
        QueryOutcome(
            query=text,
            teacher=round(float(teacher_ndcg[i]), 4),
            rung=round(float(rung_ndcg[i]), 4),
            teacher_place=_first_relevant(teacher[i], questions.judgements[query]),
            rung_place=_first_relevant(rung[i], questions.judgements[query]),
        )
        for i, (query, text) in enumerate(questions.texts.items())
    ]
    outcomes.sort(key=lambda outcome: outcome.difference)
    differences = np.array([outcome.difference for outcome in outcomes])
    low, high = bootstrap(differences)
    return Comparison(
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()),
        low=low,
        high=high,
        wins=tuple(outcome for outcome in outcomes[::-1][:SHOWN] if outcome.difference > 0),
        losses=tuple(outcome for outcome in outcomes[:SHOWN] if outcome.difference < 0),
    )


def bootstrap(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean (Efron 1979), always the same for the same data."""
    rng = np.random.default_rng(0)
    blocks = [rng.choice(differences, (_BLOCK, len(differences))).mean(axis=1) for _ in range(_BLOCKS)]
    low, high = np.percentile(np.concatenate(blocks), (2.5, 97.5))
    return float(low), float(high)


def _first_relevant(ranking: Ranked, judgements: Mapping[str, int]) -> int | None:
    places = (place for place, (key, _) in enumerate(ranking, start=1) if judgements.get(key, 0) > 0)
    return next(places, None)
