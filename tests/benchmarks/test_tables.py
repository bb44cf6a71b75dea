"""Markdown of figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


def test_markdown(script: Script) -> None:
    """Names on the left, figures on the right."""
    found = script("tables").markdown(["rung", "a", "b"], iter([["static", "1", ""], ["layers2", "2", "3"]]))
    assert found.splitlines() == [
        "| rung | a | b |",
        "| --- | ---: | ---: |",
        "| static | 1 |  |",
        "| layers2 | 2 | 3 |",
    ]


def test_a_row_that_does_not_fit(script: Script) -> None:
    """Markdown would hide its last cells."""
    with pytest.raises(ValueError, match=r"expected 2 cells; found \['x', '1', '2'\]"):
        script("tables").markdown(["a", "b"], [["x", "1", "2"]])


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.5], "0.500"),
        ([0.25, 0.75], "0.500 ± 0.354"),
        ([1, 2, 3], "2.000 ± 1.000"),
        ([1, 1], "1.000 ± 0.000"),
    ],
)
def test_spread(script: Script, values: Sequence[float], shown: str) -> None:
    """One run says nothing about spread."""
    assert script("tables").spread(values) == shown


@pytest.mark.parametrize(
    ("values", "shown"), [([1], "1"), ([0, 1], "0 and 1"), (["a", "b", "c"], "a, b and c")]
)
def test_listed(script: Script, values: Sequence[object], shown: str) -> None:
    """As a sentence has it."""
    assert script("tables").listed(values) == shown
