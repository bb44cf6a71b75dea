"""YAML text to a small tree that remembers on which line everything stands.

PyYAML's loaders forget the lines and take the last of two equal keys. Reading its events instead keeps
both, and lets what a recipe never needs be refused by name: aliases, tags, merges, second documents.
The pure-Python parser is used because libyaml's composer crashes the process on very deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from edge_runtime.schema import Path, shown

MAX_DEPTH = 16
"""Mappings and lists inside one another; recipes need four."""

_INT = "tag:yaml.org,2002:int"
_CONSTRUCTED = {_INT, *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "float"))}
_RESOLVER = yaml.resolver.Resolver()


class MarkedYamlError(ValueError):
    """The text is not YAML that a recipe may use. `line` counts from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(f"line {line}: {problem}")
        self.problem = problem
        self.line = line


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `plain` is False when it stands in quotes or in a block."""

    line: int
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values. `key_lines` has the line of each key."""

    line: int
    items: dict[str, Node]
    key_lines: dict[str, int]


Node = Scalar | Sequence | Mapping


def parse(text: str) -> Node | None:
    """The tree of `text`, or None when it holds no document.

    Raises:
        MarkedYamlError: not YAML, a key twice, nesting beyond `MAX_DEPTH`, or a feature refused here.
    """
    try:
        return _Reader(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MarkedYamlError(f"not valid YAML: the character {chr(error.character)!a}", line) from None
    except MarkedYamlError:
        raise
    except (ValueError, OverflowError):  # PyYAML's scanner calls chr() unchecked
        raise MarkedYamlError("not valid YAML: an escape such as \\U stands for no character", 1) from None


def plain(node: Node) -> object:
    """The node as None, bool, int, float, str, list and dict, by YAML 1.1's rules as PyYAML has them.

    Dates and ``=`` stay text. Numbers in bases other than ten are refused: ``010`` would be eight.

    Raises:
        MarkedYamlError: such a number.
    """
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: plain(item) for key, item in node.items.items()}
    return _resolve(node) if node.plain else node.text


def lines(node: Node, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The line of every key and list entry below `node`, by its path from the root."""
    if isinstance(node, Sequence):
        for i, item in enumerate(node.items):
            yield (*path, i), item.line
            yield from lines(item, (*path, i))
    elif isinstance(node, Mapping):
        for key, item in node.items.items():
            yield (*path, key), node.key_lines[key]
            yield from lines(item, (*path, key))


def check_text(text: str, line: int = 1) -> str:
    """`text` itself, if it can be a file name and be written as UTF-8.

    Raises:
        MarkedYamlError: it has a NUL, or a surrogate (from an escape, or an argument that is not UTF-8).
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise MarkedYamlError("expected text in UTF-8 without NUL characters", line)
    return text


class _Reader:
    """Recursive descent over PyYAML's events."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events

    def document(self) -> Node | None:
        next(self._events)  # StreamStart
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), 0)
        next(self._events)  # DocumentEnd
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise MarkedYamlError("a second document begins; expected one", _line(following))
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        _refuse(event, depth)
        line = _line(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(line, tuple(self._node(item, depth + 1) for item in self._until_end()))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(line, depth)
        assert isinstance(event, yaml.ScalarEvent)  # the only other event that can stand here
        return Scalar(line, check_text(event.value, line), event.style is None)

    def _mapping(self, line: int, depth: int) -> Mapping:
        mapping = Mapping(line, {}, {})
        for event in self._until_end():
            key = self._key(event, depth)
            if key in mapping.items:
                first = mapping.key_lines[key]
                raise MarkedYamlError(
                    f"the key {shown(key)} stands twice, first on line {first}", _line(event)
                )
            mapping.key_lines[key] = _line(event)
            mapping.items[key] = self._node(next(self._events), depth + 1)
        return mapping

    def _key(self, event: yaml.Event, depth: int) -> str:
        node = self._node(event, depth + 1)
        if not isinstance(node, Scalar):
            raise MarkedYamlError("expected text as key; found a list or a mapping", node.line)
        if node.plain and node.text == "<<":
            raise MarkedYamlError("merge keys (<<) are not used here; write the keys out", node.line)
        return node.text

    def _until_end(self) -> Iterator[yaml.Event]:
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event


def _refuse(event: yaml.Event, depth: int) -> None:
    line = _line(event)
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if isinstance(event, yaml.AliasEvent):
        raise MarkedYamlError(f"aliases (*{event.anchor:.60}) are not used here; write the value out", line)
    if anchor is not None:
        raise MarkedYamlError(f"anchors (&{anchor:.60}) are not used here; remove it", line)
    if tag is not None:
        written = tag.replace("tag:yaml.org,2002:", "!!")
        raise MarkedYamlError(f"tags ({written:.60}) are not used here; remove it", line)
    if depth > MAX_DEPTH:
        raise MarkedYamlError(f"nested deeper than {MAX_DEPTH} levels", line)


def _resolve(node: Scalar) -> object:
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False))  # type: ignore[no-untyped-call]
    if tag not in _CONSTRUCTED:
        return node.text
    digits = node.text.lstrip("+-")
    if ":" in digits or (tag == _INT and digits[0] == "0" and digits != "0"):
        problem = f"expected a plain decimal number, or text in quotes; found {node.text[:60]}"
        raise MarkedYamlError(problem, node.line)
    try:
        return yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, node.text))
    except ValueError:  # thousands of digits
        raise MarkedYamlError("a number of too many digits", node.line) from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _syntax_error(error: yaml.MarkedYAMLError) -> MarkedYamlError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    problem = " ".join((error.problem or "").split())
    if "'\\t'" in problem:
        return MarkedYamlError("a tab where YAML allows none; indent with spaces", line)
    context, begins = error.context or "", error.context_mark
    if begins is not None and begins.line + 1 != line:
        context += f" that begins on line {begins.line + 1}"
    return MarkedYamlError(f"not valid YAML: {context + ', ' if context else ''}{problem}", line)
