"""The plain part of YAML, for files that come from elsewhere: no aliases, tags, repeated keys, deep nesting.

libyaml builds its tree by recursion, so ten kilobytes of brackets overflow the stack and end the process;
aliases and merges let a short file grow without bound; and of two equal keys PyYAML silently keeps the last.
All of these are refused while the file is still a flat sequence of events.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 16
"""Mappings and lists inside one another; a manifest needs four."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML built without libyaml has only the second


class StrictYamlError(ValueError):
    """The bytes are not YAML, or use a part of it that is refused here."""


def load(data: bytes) -> object:
    """The one document in `data` as None, bool, int, float, str, date, list and dict; None when it is empty.

    Raises:
        StrictYamlError: says why, on one line.
    """
    try:
        _check_events(data)
        return _construct(data)
    except StrictYamlError:
        raise
    except Exception as error:  # YAMLError, and ValueError and others from values such as 2026-13-45
        problem = " ".join(str(error).split())
        raise StrictYamlError(f"not valid YAML ({problem[:200]})") from None


def _check_events(data: bytes) -> None:
    depth = 0
    for event in yaml.parse(data, Loader=_Loader):
        if isinstance(event, yaml.NodeEvent):
            _refuse_extras(event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise StrictYamlError(f"line {_line(event)}: nested deeper than {MAX_DEPTH} levels")


def _refuse_extras(event: yaml.NodeEvent) -> None:
    if event.anchor is not None:  # of an alias, or of what it would stand for
        raise StrictYamlError(f"line {_line(event)}: anchors and aliases are not used here")
    if getattr(event, "tag", None) is not None:
        raise StrictYamlError(f"line {_line(event)}: tags (!) are not used here")
    if isinstance(event, yaml.ScalarEvent) and any("\ud800" <= mark <= "\udfff" for mark in event.value):
        raise StrictYamlError(f"line {_line(event)}: an escape that stands for no character")


def _construct(data: bytes) -> object:
    loader = _Loader(data)
    try:
        root = loader.get_single_node()
        _refuse_repeats(root)
        return None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _refuse_repeats(node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeats(item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise StrictYamlError(f"line {_line(key)}: the key {key.value[:60]!r} stands twice")
            seen.add(str(key.value))
            _refuse_repeats(value)


def _line(place: yaml.Event | yaml.Node) -> int:
    mark: Any = place.start_mark
    return int(mark.line) + 1
