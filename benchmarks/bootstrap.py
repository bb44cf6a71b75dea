"""How sure a difference between two systems is that answered the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build_tools.report.compare import bootstrap


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Interval:
    """The mean of ``ours - theirs`` over queries; 10,000 resamples of the queries, as in `edge-build report`.

    Args:
        ours: (queries,), one figure a query.
        theirs: the same of the other system, in the same order.

    Raises:
        ValueError: they are not of the same queries, or there is none.
    """
    if ours.shape != theirs.shape or ours.ndim != 1 or not len(ours):
        raise ValueError(f"expected figures of the same queries; found {ours.shape} and {theirs.shape}")
    differences = ours - theirs
    low, high = bootstrap(differences)
    return Interval(float(differences.mean()), low, high)
