"""Vectors of documents that come into a finished bundle, so that they can be compared with those in it.

They are made by the same teacher, in the same dimensions, and stored under the index' own scale. Whether the
teacher is the same is found out by what it makes of a few passages that are in the bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build_tools.errors import BuildError, ModelError
from build_tools.recipe import Recipe
from build_tools.reduction import Reduction
from build_tools.shards import one_by_one
from build_tools.teacher import Teacher
from build_tools.towers import Tower, encode_resumably
from build_tools.workspace import Workspace
from edge_runtime.dense import quantize

SAME = 0.99
"""The least cosine of a vector to what the index has of it."""


@dataclass(frozen=True, slots=True)
class PassageEncoder:
    """The teacher behind a bundle's index.

    Attributes:
        scale: of the index, as the manifest has it.
        workspace: where finished work is kept.
    """

    teacher: Teacher
    scale: float
    workspace: Workspace

    @classmethod
    def load(cls, recipe: Recipe, home: Path, *, scale: float, workspace: Workspace) -> PassageEncoder:
        """The recipe's teacher, and the map to fewer dimensions that lies in the build folder `home`.

        Raises:
            ModelError: the teacher cannot be loaded.
            BuildError: the map is needed, and missing or damaged.
        """
        tower = Tower.load(recipe.teacher)
        reduction = Reduction.load(home) if recipe.teacher.ndim is not None else None
        return cls(Teacher(tower, reduction), scale, workspace)

    def check(self, contents: Sequence[str], codes: NDArray[np.int8]) -> None:
        """Fails where this is not what made the index.

        Args:
            contents: of a few passages of the bundle.
            codes: int8 (n, ndim), what the index has of them.

        Raises:
            ModelError: other dimensions, or another direction.
        """
        name, ndim = self.teacher.name, codes.shape[1]
        if self.teacher.ndim != ndim:
            raise ModelError(
                f"teacher {name}: gives {self.teacher.ndim} dimensions, the bundle's index has {ndim}; "
                "bring back the model that it was built with, or build anew"
            )
        least = float(_cosines(self._vectors(self.teacher.tower.encode_documents(contents)), codes).min())
        if not least >= SAME:
            raise ModelError(
                f"teacher {name}: not the one that made this index: of a passage in it the cosine to its "
                f"stored vector is {least:.3f}, expected {SAME} at least; bring back the model that it was "
                "built with, or build anew"
            )

    def codes(self, contents: Sequence[str], advance: Callable[[int], None]) -> NDArray[np.int8]:
        """Vectors of new passages as the index stores them, int8 (n, ndim).

        Raises:
            BuildError: one of them does not fit the index' scale.
        """
        digest = hashlib.sha256(repr(contents).encode()).hexdigest()
        tower = self.teacher.tower
        stage = self.workspace.stage("vectors", digest, tower.digest)
        full = encode_resumably(
            contents,
            len(contents),
            stage.directory,
            spread=one_by_one(tower.encode_documents),
            advance=advance,
        )
        vectors = self._vectors(full)
        codes = quantize(vectors, self.scale)
        least = float(_cosines(vectors, codes).min())
        if not least >= SAME:
            raise BuildError(
                f"a new passage does not fit the scale of the index: its cosine to its int8 vector is "
                f"{least:.3f}, expected {SAME} at least; build anew, which finds a scale for all"
            )
        return codes

    def _vectors(self, full: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.teacher.reduced(np.asarray(full))


def _cosines(vectors: NDArray[np.float32], codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Of unit vectors (n, ndim), row by row."""
    wide = codes.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=1)
    cosines: NDArray[np.float32] = (vectors * wide).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return cosines
