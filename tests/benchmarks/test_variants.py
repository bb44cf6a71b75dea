"""Build folders that share their work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from build_tools import recipe_yaml
from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.workspace import locked

Script = Callable[[str], ModuleType]


def test_a_finished_build_is_found(built_home: Path, recipe_file: Path, script: Script) -> None:
    """One that owns its work is built as edge-build does, and its learning curves are read."""
    recipe = recipe_yaml.load(recipe_file)
    variant = script("variants").Variant(recipe, built_home.parent, built_home)
    assert variant.home == built_home
    built = variant.build(Progress())
    assert not built.fresh
    assert not (built_home / "stages").is_symlink()
    curve = script("variants").curve_of(built, "static")
    assert (curve[0].step, curve[-1].step) == (0, 60)


def test_the_owner_is_locked(recipe_file: Path, tmp_path: Path, script: Script) -> None:
    """Two builds must not write the same stages at once; nothing is linked."""
    recipe = recipe_yaml.load(recipe_file, ["name=other"])
    variant = script("variants").Variant(recipe, tmp_path, tmp_path / "tiny")
    with locked(tmp_path / "tiny"), pytest.raises(BuildError, match="tiny: another edge-build is at work"):
        variant.build(Progress())
    assert not variant.home.exists()
