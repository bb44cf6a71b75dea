"""Writes docs/recipe.md from the recipe's dataclasses: ``python -m build_tools.recipe_docs``.

The tables come from the fields' annotations and defaults, and the example errors from feeding bad recipes
to the loader, so that the page cannot say what the code does not do. A test compares the committed page.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from build_tools import recipe_yaml
from build_tools.errors import RecipeError
from build_tools.recipe import Recipe
from edge_runtime import schema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipe.md"
"""Where the page is kept."""

_EXAMPLE = """\
name: field-notes
version: 1.2.0
licence: CC-BY-4.0
corpus:
  source: jsonl
  path: notes.jsonl
  fields: {title: heading, text: body}
  on_error: skip
queries:
  log: questions.txt
training:
  steps: 400
"""

_MISTAKES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("A key that does not exist", _EXAMPLE.replace("source:", "sourc:"), ()),
    ("A value of the wrong type", _EXAMPLE.replace("400", "many"), ()),
    ("A value outside the choices", _EXAMPLE.replace("skip", "ignore"), ()),
    ("A field that this source does not read", _EXAMPLE.replace("source: jsonl", "source: text"), ()),
    ("A wrong `--set`", _EXAMPLE, ("training.steps=abc",)),
    ("Two values that do not go together", _EXAMPLE, ("chunk.max_tokens=40",)),
)

_INTRODUCTION = """\
# Recipes

<!-- Written by `python -m build_tools.recipe_docs`; change build_tools/recipe.py instead. -->

A recipe says what a bundle is made of: which documents, which teacher, which query encoders, and which
figures the result must reach. It is a YAML file; those in [bundles/](../bundles) are meant to be run and
copied. Only `name` and `corpus` are required.

```yaml
{example}```

```sh
edge-build build field-notes.yaml
```

Paths in a recipe are relative to the directory in which `build` runs;
`update`, `distill`, `evaluate` and `report` remember it.

## Overriding fields: `--set`

`--set key.path=value` replaces one field for one build and may be given many times; later ones win.
Numbers in the path count list entries from 0. Sections and lists that the file leaves out start as their
defaults, so `encoders.0.layers` works without `encoders` in the file.

```sh
edge-build build bundles/beir.yaml --set corpus.path=DIR --set name=scifact
edge-build build bundles/beir.yaml --set corpus.path=DIR --set 'encoders.0.layers=[0, 5]'
edge-build build bundles/csv.yaml --set corpus.path=parts.csv --set 'corpus.delimiter="\\t"'
```

Values are YAML, except where the field holds text: text is taken as typed (`--set name=2024` is a name),
`null` clears it where null is allowed, and quotes inside the value are YAML quotes. A whole section is
replaced by a flow mapping: `--set 'chunk={{max_tokens: 100, overlap_tokens: 0}}'`.

## Records that cannot be read: `corpus.on_error`

A record without text, a second document with the same id, a malformed line or bytes that are not UTF-8 stop
the build with file and line. With `on_error: skip` such records are left out and counted instead.
Keys that only some records have, and a chosen field that none has, stop the build either way.

## What YAML may be used

UTF-8, one document, at most {max_bytes} bytes. Anchors, aliases, merge keys and tags are refused, and so are
a key that stands twice and numbers that YAML would read in another base (`010`, `0x10`, `1:30`). Text
that looks like a number or a truth value stands in quotes: `name: "2024"`.

## Errors

Each names the file and line, or the `--set`. From the recipe above:

{errors}

# Fields
"""


def render() -> str:
    """The whole page, as Markdown."""
    recipe_yaml.parse(_EXAMPLE.encode(), "field-notes.yaml")  # the page shows nothing that does not load
    introduction = _INTRODUCTION.format(
        example=_EXAMPLE, max_bytes=recipe_yaml.MAX_BYTES, errors="\n".join(_errors()).rstrip()
    )
    sections = (_section(name, kind) for name, kind in _walk("", Recipe))
    return "\n".join([introduction, *sections]).rstrip() + "\n"


def main() -> None:
    """Writes `PAGE`."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")


def _errors() -> Iterator[str]:
    for title, text, overrides in _MISTAKES:
        try:
            recipe_yaml.parse(text.encode(), "field-notes.yaml", overrides)
        except RecipeError as error:
            yield f"{title}:\n\n```text\n{error}\n```\n"
        else:
            raise AssertionError(f"{title}: the example of an error loads")


def _walk(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """Each section's dotted name and dataclass, in the order of the recipe."""
    yield name, kind
    for field, annotation in schema.field_types(kind).items():
        section = _section_kind(annotation)
        if section is not None:
            yield from _walk(f"{name}.{field}" if name else field, section)


def _section(name: str, kind: Any) -> str:
    paragraph = inspect.cleandoc(kind.__doc__).split("\n\n")[0]
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        full = f"{name}.{field.name}" if name else field.name
        value_type, meaning = _annotated(hints[field.name])
        cells = (f"`{field.name}`", _type(value_type, full), _default(field), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    heading = f"## `{name}`" if name else "## The recipe"
    return f"{heading}\n\n{paragraph}\n\n" + "\n".join(rows) + "\n"


def _annotated(hint: Any) -> tuple[Any, str]:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{hint}: every field of a recipe is Annotated with its meaning")
    value_type, meaning = get_args(hint)
    return value_type, meaning


def _section_kind(kind: Any) -> Any:
    """The dataclass that `kind` is, or lists, or may be; None for anything else."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(filter(None, map(_section_kind, get_args(kind))), None)
    kind = get_args(kind)[0] if get_origin(kind) is tuple else kind
    return kind if dataclasses.is_dataclass(kind) else None


def _type(kind: Any, name: str) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        options = [_type(o, name) for o in get_args(kind) if o is not type(None)]
        return " or ".join([*options, "null"])
    if _section_kind(kind) is not None:
        link = f"[section](#{name.replace('.', '')})"
        return f"list of {link}s" if get_origin(kind) is tuple else link
    if get_origin(kind) is tuple:
        return f"list of {_type(get_args(kind)[0], name)}s".replace("texts", "text")
    if get_origin(kind) is Literal:
        *others, last = (f"`{option}`" for option in get_args(kind))
        return f"{', '.join(others)} or {last}" if len(others) > 4 else " or ".join([*others, last])
    return {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}[kind]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    if dataclasses.is_dataclass(field.default):
        return "its defaults"
    value = schema.encode(field.default)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


if __name__ == "__main__":
    main()
