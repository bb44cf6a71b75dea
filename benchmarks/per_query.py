"""nDCG@10 of single queries, for comparisons that pair them; their mean is the quality card's figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import nDCG
from numpy.typing import NDArray

import edge_runtime
from build_tools.errors import BuildError
from build_tools.evaluate import Questions, Ranked, bundle_rankings
from build_tools.make import WORK, reference_of
from build_tools.progress import Progress


@dataclass(frozen=True, slots=True)
class TeacherFigures:
    """The teacher's name, and its nDCG@10 (queries,), searched exactly in all of its dimensions."""

    name: str
    ndcg: NDArray[np.float64]


def ndcg(rankings: Sequence[Ranked], questions: Questions) -> NDArray[np.float64]:
    """nDCG@10 (queries,) of one system, in the order of ``questions.texts``.

    Args:
        rankings: one a query, in that order.
    """
    judged = [
        ir_measures.Qrel(query, key, relevance)
        for query, documents in questions.judgements.items()
        for key, relevance in documents.items()
    ]
    run = [
        # By place, not score, as the quality card has it: equal scores keep their order.
        ir_measures.ScoredDoc(query, key, -float(place))
        for query, ranking in zip(questions.texts, rankings, strict=True)
        for place, (key, _) in enumerate(ranking)
    ]
    values = {found.query_id: float(found.value) for found in ir_measures.iter_calc([nDCG @ 10], judged, run)}
    return np.array([values[query] for query in questions.texts])


def of_encoder(bundle: Path, encoder: str, questions: Questions) -> NDArray[np.float64]:
    """nDCG@10 (queries,) of one of a bundle's encoders as it ships: int8, through the index."""
    with edge_runtime.open(bundle, encoder=encoder, verify="size") as retriever:
        return ndcg(bundle_rankings(retriever, list(questions.texts.values()), "dense"), questions)


def of_teacher(bundle: Path, questions: Questions, progress: Progress) -> TeacherFigures:
    """The figures of the teacher behind a bundle.

    Raises:
        BuildError: the bundle's build folder no longer has what it was built from.
    """
    reference = reference_of(bundle, progress)
    if reference is None:
        raise BuildError(
            f"{bundle}: the teacher's vectors are not in {bundle.parent / WORK} any more, or the bundle's "
            f"inputs have changed while this ran; remove {bundle} and run the same command again"
        )
    vectors = reference.teacher.tower.encode_queries(list(questions.texts.values()))
    return TeacherFigures(reference.teacher.name, ndcg(reference.full.rank(vectors), questions))
