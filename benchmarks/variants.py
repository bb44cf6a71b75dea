"""Builds that differ in a seed or a loss, and share every stage that they have in common.

Each variant has a build folder of its own, so that it is found unchanged the next time; its ``stages`` is a
link to that of one owner. Documents, vectors and indexes are thus made once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import per_query
from per_query import TeacherFigures

from build_tools import card
from build_tools.build import Built, build
from build_tools.distill.curve import CurvePoint
from build_tools.documents import keys_of
from build_tools.evaluate import Questions
from build_tools.make import CURVES
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.workspace import STAGES, locked


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe, and where it is built.

    Attributes:
        out: the folder of its build folder.
        owner: the build folder whose work it shares; may be its own.
    """

    recipe: Recipe
    out: Path
    owner: Path

    @property
    def home(self) -> Path:
        """Its build folder."""
        return self.out / self.recipe.name

    def build(self, progress: Progress) -> Built:
        """Builds or finds its bundle.

        Raises:
            BuildError: a stage could not go on, a gate was missed, or another build is at work there.
        """
        with self._sharing():
            return build(self.recipe, self.out, progress)

    def teacher(self, bundle: Path, questions: Questions, progress: Progress) -> TeacherFigures:
        """The figures of the teacher behind its bundle. Raises as `per_query.of_teacher`."""
        with self._sharing():
            return per_query.of_teacher(bundle, questions, progress)

    @contextmanager
    def _sharing(self) -> Iterator[None]:
        """Keeps other builds away from the work that is shared."""
        if self.home.resolve() == self.owner.resolve():
            yield  # the build itself locks it
            return
        with locked(self.owner):
            _link(self.home / STAGES, self.owner / STAGES)
            yield


def questions_of(recipe: Recipe, bundle: Path) -> Questions:
    """The judged queries that a bundle of a BEIR folder is measured on.

    Raises:
        DataError: the judgements are of another corpus.
    """
    folder, spec = Path(recipe.corpus.path or "").expanduser(), recipe.evaluation
    return card.labelled(folder, spec.split, keys_of(bundle), spec.queries)


def curve_of(built: Built, encoder: str) -> tuple[CurvePoint, ...]:
    """An encoder's learning curve."""
    lines = (built.bundle.parent / CURVES / f"{encoder}.jsonl").read_text("utf-8").splitlines()
    return tuple(CurvePoint(**json.loads(line)) for line in lines)


def _link(link: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()), target_is_directory=True)
