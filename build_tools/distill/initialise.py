"""A student's projection before training, in closed form.

A student of another width, or of another model, starts with states that say much but lie in no relation to
the teacher's vectors. Ridge regression (Hoerl and Kennard 1970) finds the linear map that explains the
vectors best, in seconds; training goes on from there rather than from noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from build_tools.distill.batches import TokenIds, pad
from build_tools.distill.student import Student

SAMPLE = 4000
"""Texts to fit on, at most: ten for each dimension of one layer's states."""

STRENGTHS = np.logspace(-4, 2, 13)
"""Regularisation tried, as multiples of the mean variance of the states, summed over the texts."""

BATCH = 64


def fit_projection(student: Student, tokens: Sequence[TokenIds], targets: NDArray[np.float32]) -> None:
    """Sets the projection so that it takes the states of the texts to the teacher's vectors.

    The strength of the regularisation is the one with the least leave-one-out error, so that a few dozen
    texts do as well as thousands. The same texts give the same weights. A student without a projection is
    left as it is.

    Args:
        tokens: token ids, one sequence a text; an evenly spread `SAMPLE` is used.
        targets: the teacher's unit vectors (n, ndim), in the same order.
    """
    if student.projection is None:
        return
    rows = np.linspace(0, len(tokens) - 1, min(SAMPLE, len(tokens))).astype(np.int64)
    weights, bias = ridge(pooled_states(student, [tokens[row] for row in rows]), targets[rows])
    scale = _usual_size(weights)
    with torch.no_grad():
        student.projection.weight.copy_(torch.from_numpy(weights * scale))
        student.projection.bias.copy_(torch.from_numpy(bias * scale))


def pooled_states(student: Student, tokens: Sequence[TokenIds]) -> NDArray[np.float32]:
    """What the projection reads, (n, shape.pooled), in the order given."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    states = np.empty((len(tokens), student.shape.pooled), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            states[rows] = student.pooled(*pad([tokens[row] for row in rows])).numpy()
    return states


def ridge(
    states: NDArray[np.float32], targets: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (ndim, hidden) and bias (ndim,) with ``states @ weights.T + bias`` close to `targets`."""
    exact = states.astype(np.float64)
    spread = float(exact.var(axis=0).mean()) * len(exact)
    model = RidgeCV(alphas=STRENGTHS * (spread or 1.0)).fit(exact, targets.astype(np.float64))
    return model.coef_.astype(np.float32), model.intercept_.astype(np.float32)


def _usual_size(weights: NDArray[np.float32]) -> float:
    """The factor that makes weights as large as `torch.nn.Linear` draws them, uniform up to 1/√hidden.

    A student's vectors are of unit length whatever the scale. But AdamW's steps have a size of their own:
    they would soon undo weights several times smaller than usual, which those of a regression are.
    """
    size = float(np.sqrt((weights**2).mean(dtype=np.float64)))
    return float(1 / np.sqrt(3 * weights.shape[1]) / size) if size > 0 else 1.0
