"""The passages that a search may answer with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a filter left of the corpus.

    Attributes:
        mask: bool (passages of the bundle,), true where the passage may be answered with.
        passages: how many of them are true.
        documents: how many documents those passages belong to.
    """

    mask: NDArray[np.bool_]
    passages: int
    documents: int
