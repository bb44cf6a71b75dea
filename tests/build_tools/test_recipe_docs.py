"""docs/recipe.md says what the code says."""

from __future__ import annotations

import dataclasses
import re

from build_tools import recipe_docs
from build_tools.recipe import Recipe
from build_tools.recipe_training import LossWeights, QueriesSpec, StudentSpec, TrainingSpec


def test_the_committed_page_is_the_generated_one() -> None:
    """After a change to the recipe, run: python -m build_tools.recipe_docs."""
    assert recipe_docs.PAGE.read_text(encoding="utf-8") == recipe_docs.render()


def test_every_field_has_a_row() -> None:
    """Sections of their own and their fields alike."""
    page = recipe_docs.render()
    for kind in (Recipe, StudentSpec, QueriesSpec, TrainingSpec, LossWeights):
        for field in dataclasses.fields(kind):
            assert f"\n| `{field.name}` | " in page


def test_every_link_has_its_section() -> None:
    """Of sections that may be null too."""
    page = recipe_docs.render()
    headings = {line[3:].strip("`").replace(".", "") for line in page.splitlines() if line.startswith("## ")}
    links = set(re.findall(r"\[section\]\(#([a-z_]+)\)", page))
    assert "querieslabels" in links
    assert links <= headings


def test_types_and_defaults_read_as_a_person_would_write_them() -> None:
    """Words for types, YAML for defaults."""
    page = recipe_docs.render()
    assert "| `steps` | whole number | `1000` |" in page
    assert "| `kind` | `layers` or `static` | `layers` |" in page
    assert "| `layers` | list of whole numbers or null | `[0, 4, 5]` |" in page
    assert "| `labels` | [section](#querieslabels) or null | `null` |" in page
    assert "| `path` | text or null | `null` |" in page
    assert "| `fields` | [section](#corpusfields) | its defaults |" in page


def test_the_errors_shown_are_real() -> None:
    """They come from the loader, with its file and line."""
    page = recipe_docs.render()
    assert "field-notes.yaml:5: corpus.sourc: unknown key; allowed here: " in page
    assert "\n--set training.steps=abc: expected a whole number; found 'abc'\n" in page
