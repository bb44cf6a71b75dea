"""The teacher as students know it: the tower's query vectors, in as many dimensions as the index has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build_tools.reduction import Reduction
from build_tools.towers import Tower


@dataclass(frozen=True, slots=True)
class Teacher:
    """The document tower and, where the recipe keeps fewer dimensions, the map to those."""

    tower: Tower
    reduction: Reduction | None = None

    @property
    def name(self) -> str:
        """What the manifest calls the tower."""
        return self.tower.name

    @property
    def ndim(self) -> int:
        """Dimensions of its vectors, after the reduction."""
        return self.tower.ndim if self.reduction is None else self.reduction.ndim

    @property
    def key(self) -> str:
        """Identifies its vectors, for caching."""
        if self.reduction is None:
            return self.tower.digest
        return hashlib.sha256(self.tower.digest.encode() + self.reduction.matrix.tobytes()).hexdigest()

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, ndim) of queries."""
        return self.reduced(self.tower.encode_queries(texts))

    def reduced(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tower's own vectors (n, tower.ndim) in this teacher's dimensions."""
        return vectors if self.reduction is None else self.reduction.apply(vectors)
