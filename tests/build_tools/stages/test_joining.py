"""What the balance of meaning and words is learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from build_tools import recipe_yaml
from build_tools.errors import DataError
from build_tools.progress import Progress
from build_tools.stages.corpus import read_corpus
from build_tools.stages.joining import read_questions
from build_tools.towers import Tower
from build_tools.workspace import Workspace


def test_labels_of_a_document_that_an_update_took_out(recipe_file: Path, tmp_path: Path) -> None:
    """Are an error of a new corpus, and passed over in a bundle's."""
    labels = tmp_path / "labels.csv"
    labels.write_text("query,document\nhow does dough rise,bread-0\nwhat is gone,gone-1\n", "utf-8")
    recipe = recipe_yaml.load(recipe_file, [f"fusion.labels={{source: csv, path: {labels}}}"])
    tower = Tower.load(recipe.teacher)
    corpus = read_corpus(recipe, tower, Workspace(tmp_path / "work"), Progress())
    with pytest.raises(DataError, match="gone-1"):
        read_questions(recipe, corpus)
    found = read_questions(recipe, replace(corpus, existing=True))
    assert found is not None
    assert list(found.texts.values()) == ["how does dough rise"]
