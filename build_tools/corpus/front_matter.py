"""What may stand above a Markdown page: YAML between lines of ``---``, or TOML between lines of ``+++``."""

from __future__ import annotations

import re
import sys

import yaml

MAX_CHARACTERS = 1 << 16
"""A longer stretch is text: reading it as YAML would take seconds."""

_BLOCK = re.compile(r"\A(---|\+\+\+)[ \t]*\n((?:.*\n)*?)(?:\1|\.\.\.)[ \t]*(?:\n|\Z)")
_TOML_TITLE = re.compile(r"^title[ \t]*=[ \t]*[\"'](.+)[\"'][ \t]*$", re.MULTILINE)


def split(content: str) -> tuple[str, str]:
    """The title that the front matter gives, empty when it gives none, and the text below it.

    What is no mapping is no front matter, but text between two thematic breaks.
    """
    block = _BLOCK.match(content)
    title = _title(block[1], block[2]) if block else None
    if block is None or title is None:
        return "", content
    return " ".join(title.split()), content[block.end() :]


def _title(mark: str, inner: str) -> str | None:
    """None when `inner` is no front matter."""
    if not inner.strip():
        return ""
    if len(inner) > MAX_CHARACTERS:
        return None
    try:
        return _yaml_title(inner) if mark == "---" else _toml_title(inner)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _yaml_title(inner: str) -> str | None:
    # Nodes, not values: aliases are not expanded, a date that does not exist is no error, 2024 stays text.
    node = yaml.compose(inner, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == "title" and isinstance(value, yaml.ScalarNode) and not value.tag.endswith(":null"):
            return str(value.value)
    return ""


def _toml_title(inner: str) -> str | None:
    if sys.version_info >= (3, 11):
        import tomllib

        title = tomllib.loads(inner).get("title")
        return title if isinstance(title, str) else ""
    named = _TOML_TITLE.search(inner)
    return named[1] if named else ""
