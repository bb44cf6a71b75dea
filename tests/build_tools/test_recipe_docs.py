"""docs/recipe.md says what the code says."""

from __future__ import annotations

import dataclasses

from build_tools import recipe_docs
from build_tools.recipe import Recipe, TrainingSpec


def test_the_committed_page_is_the_generated_one() -> None:
    """After a change to the recipe, run: python -m build_tools.recipe_docs."""
    assert recipe_docs.PAGE.read_text(encoding="utf-8") == recipe_docs.render()


def test_every_field_has_a_row() -> None:
    """Sections of their own and their fields alike."""
    page = recipe_docs.render()
    for kind in (Recipe, TrainingSpec):
        for field in dataclasses.fields(kind):
            assert f"\n| `{field.name}` | " in page


def test_types_and_defaults_read_as_a_person_would_write_them() -> None:
    """Words for types, YAML for defaults."""
    page = recipe_docs.render()
    assert "| `steps` | whole number | `1000` |" in page
    assert "| `loss` | `cosine` or `l2` | `cosine` |" in page
    assert "| `layers` | list of whole numbers | `[0, 2, 5]` |" in page
    assert "| `path` | text or null | `null` |" in page
    assert "| `fields` | [section](#corpusfields) | its defaults |" in page


def test_the_errors_shown_are_real() -> None:
    """They come from the loader, with its file and line."""
    page = recipe_docs.render()
    assert "field-notes.yaml:5: corpus.sourc: unknown key; allowed here: " in page
    assert "\n--set training.steps=abc: expected a whole number; found 'abc'\n" in page
