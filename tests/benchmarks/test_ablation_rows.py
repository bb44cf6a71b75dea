"""Sums of losses, as words and as a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from build_tools import recipe_yaml
from build_tools.errors import DataError
from build_tools.recipe_training import LossWeights

Script = Callable[[str], ModuleType]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "weights", "name", "shown"),
    [
        ("cosine", {"cosine": 1}, "cosine1", "cosine"),
        ("l2", {"l2": 1}, "l21", "l2"),
        ("kl", {"kl": 0.1}, "kl0.1", "0.1 kl"),
        (
            "cosine+contrastive=0.3+kl",
            {"cosine": 1, "contrastive": 0.3, "kl": 0.1},
            "cosine1-contrastive0.3-kl0.1",
            "cosine + 0.3 contrastive + 0.1 kl",
        ),
        ("cosine=.5+margin_mse=1", {"cosine": 0.5, "margin_mse": 1}, None, "0.5 cosine + margin_mse"),
        ("unlabelled", {"cosine": 1}, "unlabelled", "cosine, no labels"),
    ],
)
def test_a_row(script: Script, text: str, weights: dict[str, float], name: str | None, shown: str) -> None:
    """Its weights, and what it is called."""
    row = script("ablation_rows").Row.parse(text, weight=0.1)
    assert row.weights == weights
    assert row.labelled == (text != "unlabelled")
    assert row.shown == shown
    assert name is None or row.name == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "row : no loss ''; there are cosine, l2, contrastive, triplet, margin_mse, kl, preference and "),
        ("cosine+", r"row cosine\+: no loss ''"),
        ("cosine + kl", "no loss 'cosine '"),
        ("infonce", "no loss 'infonce'"),
        ("kl+cosine+kl=2", "kl is there twice"),
        ("kl=", "row kl=: expected a weight above 0; found ''"),
        ("kl=0", "expected a weight above 0; found '0'"),
        ("kl=-1", "expected a weight above 0"),
        ("kl=nan", "expected a weight above 0"),
        ("kl=inf", "expected a weight above 0"),
        ("kl=much", "expected a weight above 0; found 'much'"),
    ],
)
def test_no_row(script: Script, text: str, problem: str) -> None:
    """What is wrong with it."""
    with pytest.raises(DataError, match=problem):
        script("ablation_rows").Row.parse(text, weight=0.1)


def test_weights_of_the_command_line(script: Script) -> None:
    """A number above 0."""
    assert script("ablation_rows").positive("0.3") == 0.3
    with pytest.raises(argparse.ArgumentTypeError, match="expected a weight above 0; found 'x'"):
        script("ablation_rows").positive("x")


@pytest.mark.parametrize("recipe", ["beir.yaml", "beir-labels.yaml"])
def test_every_usual_row_makes_a_recipe(script: Script, recipe: str) -> None:
    """Whatever losses and labels the recipe has: those of the row, and no others."""
    rows = script("ablation_rows")
    for text in (*rows.ROWS, *rows.CROSS_ENCODER_ROWS):
        row = rows.Row.parse(text, weight=0.1)
        overrides = ["corpus.path=data", f"name={row.name}", *row.overrides(Path("scorer"))]
        made = recipe_yaml.load(ROOT / "bundles" / recipe, overrides)
        off = dict.fromkeys(rows.LOSSES, 0.0)
        assert made.training.losses == LossWeights(**{**off, **row.weights})
        assert (made.queries.labels is not None) == (text != "unlabelled")
        assert made.training.cross_encoder == ("scorer" if text in rows.CROSS_ENCODER_ROWS else None)
