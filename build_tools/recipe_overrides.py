"""``--set key.path=value``: any field of the recipe from the command line.

The path is checked against the recipe's dataclasses, so an unknown key fails before anything is read
into it. The value is YAML, except where the field holds text: there it is taken as typed, because nobody
who types ``--set name=2024`` or ``--set name=no`` means a number or false.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from build_tools import marked_yaml
from build_tools.errors import RecipeError
from build_tools.marked_yaml import MarkedYamlError, Node
from build_tools.recipe import Recipe
from edge_runtime import schema

_NULLS = ("null", "~")


@dataclass(frozen=True, slots=True)
class Override:
    """One ``--set``.

    Attributes:
        label: ``--set`` and its text, for errors.
        path: where in the recipe, list positions as numbers.
        value: plain YAML values.
    """

    label: str
    path: schema.Path
    value: object

    def apply(self, recipe: dict[str, Any]) -> None:
        """Puts the value into the plain form of a recipe, with whatever sections it lacks on the way.

        A section or list that the recipe does not give starts as its default.

        Raises:
            RecipeError: no such position in the list.
            schema.SchemaError: what the recipe gives on the way is not a section or list.
        """
        kind: Any = Recipe
        container: Any = recipe
        for depth, part in enumerate(self.path):
            self._check_container(container, depth)
            if depth == len(self.path) - 1:
                container[part] = self.value
                return
            present = container[part] if isinstance(part, int) else container.get(part)
            if present is None:
                container[part] = _default(kind, part)
            kind, container = _child(kind, part), container[part]

    def _check_container(self, container: Any, depth: int) -> None:
        part, above = self.path[depth], self.path[:depth]
        if isinstance(part, str) and not isinstance(container, dict):
            raise schema.SchemaError(above, f"expected keys and values; found {schema.shown(container)}")
        if isinstance(part, int) and not isinstance(container, list):
            raise schema.SchemaError(above, f"expected a list; found {schema.shown(container)}")
        if isinstance(part, int) and part >= len(container):
            last = f"the last is {len(container) - 1}" if container else "the list is empty"
            raise RecipeError(f"{self.label}: {schema.dotted(above)} has no entry {part}; {last}")


def parse(text: str) -> Override:
    """Reads the text after ``--set``.

    Raises:
        RecipeError: no ``=``, no such field, or a value that is not YAML.
    """
    label = f"--set {text}" if text.isprintable() else f"--set {text!a}"
    label = label if len(label) <= 200 else label[:197] + "..."
    key, equals, raw = text.partition("=")
    if not equals or not key:
        missing = "there is no '='" if not equals else "there is no key"
        raise RecipeError(f"{label}: expected key.path=value; {missing}")
    try:
        path, kind = _resolve_path(key)
        return Override(label, path, _read_value(kind, raw))
    except schema.SchemaError as error:
        raise RecipeError(f"{label}: {error}") from None
    except MarkedYamlError as error:
        raise RecipeError(f"{label}: {error.problem}") from None


def _resolve_path(key: str) -> tuple[schema.Path, Any]:
    """The path that `key` writes with dots, and the annotation of what stands there."""
    path: tuple[str | int, ...] = ()
    kind: Any = Recipe
    for name in key.split("."):
        kind = _required(kind)
        if _is_section(kind):
            known = schema.field_types(kind)
            if name not in known:
                raise schema.SchemaError((*path, name), schema.unknown_key(name, known))
            path = (*path, name)
        elif get_origin(kind) is tuple:
            if not (name.isascii() and name.isdecimal() and len(name) < 10):
                problem = f"expected a position in the list, counted from 0; found {schema.shown(name)}"
                raise schema.SchemaError(path, problem)
            path = (*path, int(name))
        else:
            raise schema.SchemaError(path, f"this is a single value; there is no {schema.shown(name)} in it")
        kind = _child(kind, path[-1])
    return path, kind


def _read_value(kind: Any, raw: str) -> object:
    if _is_text(kind) and not _quoted(raw):
        return _text(kind, raw)
    node = marked_yaml.parse(raw)
    return None if node is None else _typed(kind, node)


def _typed(kind: Any, node: Node) -> object:
    """`marked_yaml.plain`, but unquoted values stay text wherever `kind` wants text."""
    kind = kind if _is_text(kind) else _required(kind)
    if isinstance(node, marked_yaml.Scalar) and node.plain and _is_text(kind):
        return _text(kind, node.text)
    if isinstance(node, marked_yaml.Sequence) and get_origin(kind) is tuple:
        return [_typed(get_args(kind)[0], item) for item in node.items]
    if isinstance(node, marked_yaml.Mapping) and _is_section(kind):
        kinds = schema.field_types(kind)
        return {key: _typed(kinds.get(key, Any), item) for key, item in node.items.items()}
    return marked_yaml.plain(node)


def _text(kind: Any, raw: str) -> str | None:
    return None if raw in _NULLS and _required(kind) is not kind else marked_yaml.check_text(raw)


def _quoted(raw: str) -> bool:
    return len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\""


def _is_text(kind: Any) -> bool:
    kind = _required(kind)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    return kind is str or (bool(choices) and all(isinstance(choice, str) for choice in choices))


def _is_section(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


def _required(kind: Any) -> Any:
    """`X` of ``X | None``; any other annotation as it is."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(option for option in get_args(kind) if option is not type(None))
    return kind


def _child(kind: Any, part: str | int) -> Any:
    kind = _required(kind)
    return get_args(kind)[0] if isinstance(part, int) else schema.field_types(kind)[part]


def _default(kind: Any, part: str | int) -> object:
    """The plain form of what stands at `part` when a recipe leaves it out."""
    for field in dataclasses.fields(_required(kind)) if isinstance(part, str) else ():
        if field.name == part and field.default is not dataclasses.MISSING:
            # None: a section that may be absent, and of which something is now to be set.
            return {} if field.default is None else schema.encode(field.default)
    return {}
