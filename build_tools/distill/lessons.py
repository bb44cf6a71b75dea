"""What students learn from: texts with the teacher's vectors, and queries with candidate documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts and the teacher's unit vectors (n, ndim) for them."""

    texts: Sequence[str]
    targets: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Queries, each with documents to be told apart.

    Attributes:
        texts: n queries.
        rows: int64 (n, c), rows of the document vectors. Column 0 is the positive where `labelled`, else the
            teacher's best.
        labelled: bool (n,), whether a person said that column 0 answers the query.
        cosines: float32 (n, c), the bi-encoder teacher's.
        scores: float32 (n, c), the cross-encoder's logits; None where the recipe names no cross-encoder.
    """

    texts: Sequence[str]
    rows: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    cosines: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None
