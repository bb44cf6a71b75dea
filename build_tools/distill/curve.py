"""The learning curve: its points, which of them is best, and when there is no use in going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One measurement of the learning curve.

    Attributes:
        loss: mean training loss since the last point; at step 0, that of the first batch.
        held_out_cosine: mean cosine to the teacher on text that is not trained on.
        seconds: training time so far, over all runs.
        held_out_loss: the recipe's weighted losses on texts and queries that are not trained on; None where
            it only aligns vectors, and the cosine says how well.
    """

    step: int
    loss: float
    held_out_cosine: float
    seconds: float
    held_out_loss: float | None = None

    @property
    def quality(self) -> float:
        """What points are compared by, more is better: the held-out loss if there is one, else the cosine."""
        return self.held_out_cosine if self.held_out_loss is None else -self.held_out_loss


def best(curve: Sequence[CurvePoint]) -> CurvePoint:
    """The point whose weights are kept: the first of the best."""
    return max(curve, key=lambda point: point.quality)


def stalled(curve: Sequence[CurvePoint], patience: int | None) -> bool:
    """Whether the last `patience` points brought nothing better."""
    return patience is not None and len(curve) - 1 - curve.index(best(curve)) >= patience
