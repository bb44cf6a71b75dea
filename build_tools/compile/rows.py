"""Tables of vectors as int8 rows with one scale each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantize_rows(table: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Each row to int8 by its own largest component.

    Returns:
        int8 (n, d) and float32 (n, 1); their product is the table to within half a step.
    """
    largest = np.abs(table).max(axis=1, keepdims=True)
    scales = (largest / 127).astype(np.float32)
    scales[scales == 0] = 1  # rows of zeros, or of numbers too small for a scale
    return np.clip(np.rint(table / scales), -127, 127).astype(np.int8), scales
