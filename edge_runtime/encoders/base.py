"""The shape that every query encoder has, whatever engine runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Encoder(ABC):
    """One token sequence to one unit vector.

    Sequences go one by one on purpose: dynamic int8 takes its scale from the whole input, so in a batch a
    query's vector would depend on its neighbours.

    Attributes:
        engine: name and version of what runs it, such as ``onnxruntime 1.23.2``.
    """

    engine: str

    @abstractmethod
    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """The vector, float32 (ndim,), of a non-empty token sequence. Thread-safe.

        Raises:
            EngineError: the engine failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees what the engine holds."""
