"""What is said of a corpus before hours are spent on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_tools import recipe_yaml
from build_tools.progress import Progress
from build_tools.stages.corpus import read_corpus
from build_tools.towers import Tower
from build_tools.workspace import Workspace

ENGLISH, THAI = "knead the flour and bake the bread", "นวดแป้งแล้วอบขนมปัง"


def said(
    recipe_file: Path, tmp_path: Path, texts: list[str], capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """The lines about a corpus of these texts."""
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)), "utf-8"
    )
    recipe = recipe_yaml.load(recipe_file, [f"corpus.path={path}", "corpus.fields={title: null}"])
    read_corpus(recipe, Tower.load(recipe.teacher), Workspace(tmp_path / "work"), Progress())
    return [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_a_script_that_the_teacher_does_not_know(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said at once: its card would be perfect, for the students know as little."""
    lines = said(recipe_file, tmp_path, [ENGLISH, THAI, THAI], capsys)
    assert lines[-2] == "documents  3 documents, 3 passages"
    assert lines[-1].startswith("58% of the text is in words or a script that ")
    assert lines[-1].endswith(
        "does not know: its vectors will not find them, only words will; name another teacher.model"
    )


def test_a_foreign_word_now_and_then(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is not worth a line."""
    texts = [*[ENGLISH] * 40, THAI]
    assert said(recipe_file, tmp_path, texts, capsys)[-1] == "documents  41 documents, 41 passages"
