"""What an .npy file says of itself, taken at its word only where the file is as long as that makes it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from edge_runtime.errors import BundleError


def read(view: memoryview, path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and where the data begins, of a file that `path` names in errors.

    Raises:
        BundleError: not of format 1.0 with plain numbers in C order, or not as long as it says.
    """
    head = io.BytesIO(view[:4096])
    try:
        version = npy_format.read_magic(head)
        shape, fortran, dtype = npy_format.read_array_header_1_0(head)
    except Exception as error:  # ValueError mostly, but on odd headers whatever ast and tokenize raise
        raise BundleError(f"{path}: not an .npy file ({str(error)[:200]}); rebuild the bundle") from None
    numbers = dtype.kind in "iuf" and all(length >= 0 for length in shape)
    expected = head.tell() + math.prod(shape) * dtype.itemsize
    if version != (1, 0) or fortran or not numbers or expected != len(view):
        raise BundleError(f"{path}: not a plain .npy array of format 1.0; rebuild the bundle")
    return shape, dtype, head.tell()
