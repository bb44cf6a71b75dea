"""The rows of ablation.py: sums of losses, as the command line writes them and as a recipe does."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tables import listed

from build_tools.errors import DataError
from build_tools.recipe_training import LossWeights

LOSSES = tuple(field.name for field in dataclasses.fields(LossWeights))
ALIGNMENT = ("cosine", "l2")
UNLABELLED, BASELINE = "unlabelled", "cosine"

ROWS = (
    UNLABELLED,
    BASELINE,
    "l2",
    "cosine+contrastive",
    "cosine+triplet",
    "cosine+listwise",
    "cosine+contrastive+listwise",
)
CROSS_ENCODER_ROWS = (
    "cosine+margin_mse",
    "cosine+kl",
    "cosine+preference",
    "cosine+contrastive+kl",
    "cosine+contrastive+listwise+kl",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A sum of losses.

    Attributes:
        weights: of each loss in it, above 0.
        labelled: whether the train split's queries are among the texts, and its pairs known.
    """

    weights: Mapping[str, float]
    labelled: bool = True

    @classmethod
    def parse(cls, text: str, *, weight: float) -> Row:
        """Reads a row as the command line writes it.

        Args:
            weight: of losses over candidates that name none.

        Raises:
            DataError: no such loss, the same one twice, or a weight that is none.
        """
        if text == UNLABELLED:
            return cls({BASELINE: 1.0}, labelled=False)
        weights: dict[str, float] = {}
        for term in text.split("+"):
            name, equals, number = term.partition("=")
            if name not in LOSSES:
                raise DataError(f"row {text}: no loss {name!r}; there are {listed(LOSSES)}")
            if name in weights:
                raise DataError(f"row {text}: {name} is there twice")
            usual = 1.0 if name in ALIGNMENT else weight
            weights[name] = _weight(number, text) if equals else usual
        return cls(weights)

    @property
    def name(self) -> str:
        """What its builds are called."""
        terms = "-".join(f"{name}{weight:g}" for name, weight in self.weights.items())
        return terms if self.labelled else UNLABELLED

    @property
    def shown(self) -> str:
        """What the table calls it."""
        terms = [name if weight == 1 else f"{weight:g} {name}" for name, weight in self.weights.items()]
        return " + ".join(terms) + ("" if self.labelled else ", no labels")

    @property
    def losses(self) -> LossWeights:
        """All losses; those that it does not name are off."""
        return LossWeights(**{name: self.weights.get(name, 0.0) for name in LOSSES})

    def overrides(self, cross_encoder: Path | None) -> list[str]:
        """What it sets in a recipe, whatever losses and labels that has."""
        settings = [f"training.losses.{name}={getattr(self.losses, name)!r}" for name in LOSSES]
        settings.append("queries.labels.source=beir" if self.labelled else "queries.labels=null")
        if cross_encoder and self.losses.needs_cross_encoder:
            settings.append(f"training.cross_encoder={cross_encoder}")
        return settings


def positive(text: str) -> float:
    """A weight on the command line.

    Raises:
        argparse.ArgumentTypeError: not a number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a weight above 0; found {text!r}")
    return value


def _weight(text: str, row: str) -> float:
    try:
        return positive(text)
    except argparse.ArgumentTypeError as error:
        raise DataError(f"row {row}: {error}") from None
