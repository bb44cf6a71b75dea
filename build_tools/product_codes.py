"""Writes the product codes that `edge_runtime.product_codes` searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build_tools import clusters, places
from build_tools.errors import BuildError
from edge_runtime.faiss_library import faiss
from edge_runtime.product_codes import padded

FILENAME = "codes.faiss"

_SAMPLE = 32_768
_PARTS_A_BYTE = 2
_LEVELS = 16  # of a part


def default_bytes(ndim: int) -> int:
    """Of a code: a sixth of a byte a dimension, 64 for 384; a part has three components then."""
    return max(1, ndim // 6)


def write(
    codes: NDArray[np.int8], folder: Path, *, code_bytes: int, advance: Callable[[int], object]
) -> None:
    """Writes `edge_runtime.manifest.PQ_FILES` for vectors int8 (count, ndim), which may be mapped.

    The same vectors give the same bytes, on the same kind of processor with as many threads.

    Args:
        code_bytes: of each vector's code; two parts each.
        advance: told how many more vectors have a code.

    Raises:
        BuildError: a file cannot be written.
    """
    rows = clusters.neighbourly(codes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places.write(rows, folder)
        places.write_vectors(codes, rows, folder)
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None
    learnt = _learnt(codes, code_bytes)
    for start in range(0, len(rows), clusters.BLOCK):
        units = clusters.units(codes[rows[start : start + clusters.BLOCK]])
        learnt.add(padded(units, learnt.d))
        advance(len(units))
    path = folder / FILENAME
    try:
        faiss().write_index(learnt, str(path))
    except RuntimeError as error:  # faiss' only kind
        raise BuildError(f"{path}: cannot be written ({error})") from None


def parts(folder: Path) -> int:
    """Of a code in the files of an index."""
    return int(faiss().read_index(str(folder / FILENAME)).pq.M)


def _learnt(codes: NDArray[np.int8], code_bytes: int) -> Any:
    """An index that knows the levels of each part and holds nothing yet."""
    library, ndim = faiss(), codes.shape[1]
    components = -(-ndim // (_PARTS_A_BYTE * code_bytes))
    parts = -(-ndim // components)
    index = library.index_factory(parts * components, f"IVF1,PQ{parts}x4fs", library.METRIC_INNER_PRODUCT)
    index.by_residual = False  # from the centroid of the one cell
    index.pq.cp.max_points_per_centroid = _SAMPLE // _LEVELS
    index.pq.cp.min_points_per_centroid = 1  # else faiss writes a warning to stderr
    drawn = np.sort(np.random.default_rng(0).permutation(len(codes))[:_SAMPLE])
    drawn = np.resize(drawn, max(len(drawn), _LEVELS))  # faiss wants no fewer
    index.train(padded(clusters.units(codes[drawn]), index.d))
    return index
