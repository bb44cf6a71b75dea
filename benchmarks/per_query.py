"""nDCG@10 of single queries, for comparisons that pair them; their mean is the quality card's figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edge_runtime
from build_tools.errors import BuildError
from build_tools.evaluate import Questions, bundle_rankings, ndcg_by_query
from build_tools.make import reference_of
from build_tools.progress import Progress
from build_tools.workspace import STAGES


@dataclass(frozen=True, slots=True)
class TeacherFigures:
    """The teacher's name, and its nDCG@10 (queries,), searched exactly in all of its dimensions."""

    name: str
    ndcg: NDArray[np.float64]


def of_encoder(bundle: Path, encoder: str, questions: Questions) -> NDArray[np.float64]:
    """nDCG@10 (queries,) of one of a bundle's encoders as it ships: int8, through the index."""
    with edge_runtime.open(bundle, encoder=encoder, verify="size") as retriever:
        return ndcg_by_query(bundle_rankings(retriever, list(questions.texts.values()), "dense"), questions)


def of_teacher(bundle: Path, questions: Questions, progress: Progress) -> TeacherFigures:
    """The figures of the teacher behind a bundle.

    Raises:
        BuildError: the bundle's build folder no longer has what it was built from.
    """
    reference = reference_of(bundle, progress)
    if reference is None:
        raise BuildError(
            f"{bundle}: the teacher's vectors are not in {bundle.parent / STAGES} any more, or the bundle's "
            f"inputs have changed while this ran; remove {bundle} and run the same command again"
        )
    vectors = reference.teacher.tower.encode_queries(list(questions.texts.values()))
    return TeacherFigures(reference.teacher.name, ndcg_by_query(reference.full.rank(vectors), questions))
