"""Fewer dimensions for the teacher's vectors: fitted on the documents, applied to all that students learn.

`pca` takes the leading eigenvectors of the documents' second moments, *without* taking the mean off. Ranking
needs inner products, and truncating this basis gives the best approximation of rank n to the matrix of all
of them (Eckart and Young 1936). Centring would be optimal for distances, but ⟨x − m, q − m⟩ differs from
⟨x, q⟩ by ⟨x, m⟩, another number for each document x, and so would change the ranking.

`prefix` takes the first dimensions, for models trained for that (Matryoshka, arXiv 2205.13147).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from build_tools.errors import BuildError, ModelError
from build_tools.index import TIE, exact_search
from build_tools.quality import DimensionCost
from build_tools.workspace import new_array, write_atomically

MATRIX = "reduction.npy"
VECTORS = "vectors.npy"
BLOCK = 8192
Method = Literal["pca", "prefix"]
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A linear map to fewer dimensions.

    Attributes:
        matrix: float32 (ndim_in, ndim_out), its columns orthonormal.
    """

    matrix: Matrix

    @property
    def ndim(self) -> int:
        """Dimensions that are left."""
        return int(self.matrix.shape[1])

    @property
    def digest(self) -> str:
        """The matrix's sha256, for cache keys."""
        return hashlib.sha256(self.matrix.tobytes()).hexdigest()

    def apply(self, vectors: Matrix) -> Matrix:
        """Vectors (n, ndim_in) to unit vectors (n, ndim_out).

        Raises:
            BuildError: a vector has no length left.
        """
        reduced = np.asarray(vectors, np.float32) @ self.matrix
        lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise BuildError(
                f"teacher.ndim {self.ndim}: {int((lengths <= 0).sum())} vectors have no length left in "
                f"{self.ndim} dimensions; keep more, or try another teacher.reduction"
            )
        unit: Matrix = reduced / lengths
        return unit

    def apply_all(self, vectors: Matrix, directory: Path, *, advance: Callable[[int], None]) -> Matrix:
        """The same for as many vectors as a file holds, as a read-only mapped array; kept in `directory`.

        Args:
            vectors: float32 (n, ndim_in); may be mapped.
            advance: told how many more vectors are done.
        """
        target = directory / VECTORS
        if not target.exists():
            unfinished = target.with_suffix(".part")
            mapped = new_array(unfinished, np.float32, (len(vectors), self.ndim))
            for start in range(0, len(vectors), BLOCK):
                block = vectors[start : start + BLOCK]
                mapped[start : start + BLOCK] = self.apply(block)
                advance(len(block))
            mapped.flush()
            del mapped
            unfinished.replace(target)
        reduced: Matrix = np.load(target, mmap_mode="r")
        return reduced

    def save(self, directory: Path) -> None:
        """Writes reduction.npy."""
        write_atomically(directory / MATRIX, lambda file: np.save(file, self.matrix))

    @classmethod
    def load(cls, directory: Path) -> Reduction:
        """Reads reduction.npy.

        Raises:
            BuildError: missing or damaged.
        """
        path = directory / MATRIX
        try:
            matrix = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BuildError(
                f"{path}: cannot be read ({type(error).__name__}); delete it and build again"
            ) from None
        if matrix.ndim != 2 or matrix.dtype != np.float32:
            raise BuildError(
                f"{path}: expected a float32 matrix; found {matrix.dtype} of shape {matrix.shape}; "
                "delete it and build again"
            )
        return cls(matrix)


@dataclass(frozen=True, slots=True)
class Moments:
    """The second moments of vectors, from which a reduction to any number of dimensions follows.

    Attributes:
        matrix: float64 (ndim, ndim), the mean of every vector's outer product with itself.
    """

    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Matrix) -> Moments:
        """Those of float32 (n, ndim), read block by block; may be mapped."""
        total = np.zeros((vectors.shape[1], vectors.shape[1]))
        for start in range(0, len(vectors), BLOCK):
            block = np.asarray(vectors[start : start + BLOCK], np.float64)
            total += block.T @ block
        return cls(total / len(vectors))

    def reduction(self, ndim: int, method: Method) -> Reduction:
        """The map to `ndim` dimensions.

        Raises:
            ModelError: there are not as many.
        """
        if ndim > len(self.matrix):
            raise ModelError(f"teacher.ndim {ndim}: the teacher's vectors have {len(self.matrix)} dimensions")
        if method == "prefix":
            return Reduction(np.eye(len(self.matrix), ndim, dtype=np.float32))
        _, vectors = np.linalg.eigh(self.matrix)
        leading = vectors[:, ::-1][:, :ndim]
        # An eigenvector's sign is the library's whim; the largest component decides.
        peaks = np.take_along_axis(leading, np.abs(leading).argmax(0)[None], 0)
        return Reduction(np.ascontiguousarray(leading * np.sign(peaks), np.float32))

    def share_kept(self, reduction: Reduction) -> float:
        """Share of the vectors' mean squared length that is left, 0 to 1."""
        matrix = reduction.matrix.astype(np.float64)
        return float(np.trace(matrix.T @ self.matrix @ matrix) / np.trace(self.matrix))


def fit(vectors: Matrix, ndim: int, *, method: Method = "pca") -> Reduction:
    """The reduction of the document vectors, float32 (n, ndim_in), to `ndim` dimensions.

    One pass in blocks; the same vectors give the same matrix.

    Raises:
        ModelError: the vectors have fewer dimensions.
    """
    return Moments.of(vectors).reduction(ndim, method)


def costs(
    vectors: Matrix, queries: Matrix, dims: Sequence[int], *, method: Method = "pca"
) -> list[DimensionCost]:
    """What each of `dims` keeps of exact search, with the reduction fitted on `vectors`.

    Args:
        vectors: the documents' unit vectors (n, ndim), before any reduction; may be mapped.
        queries: the teacher's unit vectors of queries (m, ndim), before any reduction.

    Raises:
        ModelError: one of `dims` is more than there are.
    """
    moments = Moments.of(vectors)
    _, exact = exact_search(vectors, queries, 10)
    measured = []
    for ndim in dims:
        reduction = moments.reduction(ndim, method)
        rows = _nearest(vectors, queries, reduction)
        measured.append(
            DimensionCost(
                ndim=ndim,
                recall_10=round(_recall(vectors, queries, rows, exact), 4),
                variance_kept=round(moments.share_kept(reduction), 4),
                bytes_per_vector=ndim,
            )
        )
    return measured


def _nearest(vectors: Matrix, queries: Matrix, reduction: Reduction) -> NDArray[np.int64]:
    """Rows (m, 10) of the nearest reduced vectors, of which a block at a time is in memory."""
    reduced = reduction.apply(queries)
    rows, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for start in range(0, len(vectors), BLOCK):
        found, found_scores = exact_search(reduction.apply(vectors[start : start + BLOCK]), reduced, 10)
        rows = np.concatenate([rows, found + start], axis=1)
        scores = np.concatenate([scores, found_scores], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
    return rows


def _recall(vectors: Matrix, queries: Matrix, rows: NDArray[np.int64], exact: NDArray[np.float32]) -> float:
    """Share of `rows` (m, k) that are as near, by all dimensions, as the exact k nearest."""
    scores = np.einsum("mkd,md->mk", np.asarray(vectors[rows]), queries)
    return float((scores >= exact[:, -1:] - TIE).mean())
