"""bundles/*.yaml and ``--set`` to a `Recipe`; every error names the file and line, or the ``--set``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tools import marked_yaml, recipe_overrides
from build_tools.errors import RecipeError
from build_tools.marked_yaml import MarkedYamlError
from build_tools.recipe import Recipe
from build_tools.recipe_overrides import Override
from edge_runtime import schema

MAX_BYTES = 1 << 20
"""Recipes have a few hundred; anything larger is another file."""


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads the recipe at `path` and lays `overrides` (``key.path=value``) over it, in order.

    Raises:
        RecipeError: the file cannot be read, is not a valid recipe, or an override does not fit.
    """
    return parse(_read(path), str(path), overrides)


def parse(data: bytes, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in the bytes of a file. `source` names them in errors. Raises as `load` does."""
    try:
        root = marked_yaml.parse(_decode(data))
        value = None if root is None else marked_yaml.plain(root)
    except MarkedYamlError as error:
        raise RecipeError(f"{source}:{error.line}: {error.problem}") from None
    if root is None or value is None:
        raise RecipeError(f"{source}: empty; a recipe has at least a name and a corpus")
    if not isinstance(value, dict):
        found = schema.shown(value)
        raise RecipeError(f"{source}:{root.line}: expected keys and values such as name: docs; found {found}")
    parsed = tuple(recipe_overrides.parse(text) for text in overrides)
    places = _Places(source, {(): root.line, **dict(marked_yaml.lines(root))}, parsed)
    return _assemble(value, places)


def _assemble(value: dict[str, Any], places: _Places) -> Recipe:
    try:
        for override in places.overrides:
            override.apply(value)
        return schema.decode(Recipe, value)
    except schema.SchemaError as error:
        raise RecipeError(places.explain(error)) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; expected a recipe such as bundles/beir.yaml") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: a folder; expected a recipe file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{str(path)!r}: cannot be read ({reason})") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{path}: larger than {MAX_BYTES} bytes; this is not a recipe")
    return data


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        raise MarkedYamlError(problem, line) from None


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each value of the recipe came from."""

    source: str
    lines: dict[schema.Path, int]
    overrides: tuple[Override, ...]

    def explain(self, error: schema.SchemaError) -> str:
        """The whole message: place, key, problem."""
        override = self._override_of(error.path)
        if override is not None:
            same = error.path == override.path
            return f"{override.label}: {error.problem if same else error}"
        problem = str(error) if error.path else error.problem
        neighbour = self._override_beside(error.path)
        suffix = f" (with {neighbour.label})" if neighbour is not None else ""
        return f"{self.source}:{self._line(error.path)}: {problem}{suffix}"

    def _override_of(self, path: schema.Path) -> Override | None:
        matching = (o for o in reversed(self.overrides) if o.path == path[: len(o.path)])
        return next(matching, None)

    def _override_beside(self, path: schema.Path) -> Override | None:
        """The last override in the same section: two values may be wrong only together."""
        section = path[:-1]
        beside = (o for o in reversed(self.overrides) if section and o.path[: len(section)] == section)
        return next(beside, None)

    def _line(self, path: schema.Path) -> int:
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]
