"""How a bundle joins its two rankings: the recipe's words, and what cosines are like in this corpus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from build_tools import recipe
from edge_runtime import manifest

QUERIES, PASSAGES = 500, 20_000
"""As many are looked at; more change the fourth digit."""

LEAST_SPREAD = 1e-3
"""Where all passages are alike."""


def settings(
    spec: recipe.FusionSpec, queries: NDArray[np.float32], passages: NDArray[np.float32]
) -> manifest.FusionSpec:
    """The manifest's entry.

    Args:
        queries: the teacher's vectors (n, ndim) of texts that need not have an answer.
        passages: unit vectors (m, ndim); may be mapped.
    """
    step = max(1, len(passages) // PASSAGES)
    cosines = queries[:QUERIES] @ np.asarray(passages[::step]).T
    return manifest.FusionSpec(
        method=spec.method,
        k=spec.k,
        depth=spec.depth,
        balance=spec.balance,
        cosine_mean=round(float(cosines.mean()), 4),
        cosine_spread=max(LEAST_SPREAD, round(float(cosines.std(axis=1).mean()), 4)),
    )
