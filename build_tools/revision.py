"""A bundle's passages after an update, in the order that a build of the changed corpus gives them.

Documents keep their places, a changed one stands where it stood before, new ones come last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from build_tools import documents
from build_tools.corpus.document import Passage

Passages = Mapping[str, Sequence[Passage]]
"""Passages by the key of their document."""


@dataclass(frozen=True, slots=True)
class Revised:
    """A passage of the new version.

    Attributes:
        row: of the old version, whose vector this one has too; None where its content is new.
    """

    passage: Passage
    row: int | None


def revise(directory: Path, added: Passages, removed: AbstractSet[str]) -> Iterator[Revised]:
    """Every passage of the new version, in row order.

    Args:
        directory: of the old version.
        added: documents that are new, or take the place of one with the same key.
        removed: keys.
    """
    left = dict(added)
    for key, rows in _documents(directory):
        if key in left:
            yield from _replaced(left.pop(key), rows)
        elif key not in removed:
            yield from (Revised(passage, row) for row, passage in rows)
    for passages in left.values():
        yield from (Revised(passage, None) for passage in passages)


def differing(directory: Path, added: Passages) -> Passages:
    """Those documents that are not in the old version as they are given."""
    same = {
        key
        for key, rows in _documents(directory)
        if key in added and _plain(added[key]) == _plain([passage for _, passage in rows])
    }
    return {key: passages for key, passages in added.items() if key not in same}


def _documents(directory: Path) -> Iterator[tuple[str, Iterator[tuple[int, Passage]]]]:
    """Every document's key, and its passages with their rows."""
    return groupby(enumerate(documents.read(directory)), key=lambda numbered: numbered[1].document)


def _replaced(passages: Sequence[Passage], rows: Iterator[tuple[int, Passage]]) -> Iterator[Revised]:
    known = {passage.content: row for row, passage in rows}
    return (Revised(passage, known.get(passage.content)) for passage in passages)


def _plain(passages: Sequence[Passage]) -> list[tuple[str, str, str]]:
    """What is stored of each."""
    return [(each.title, each.text, json.dumps(dict(each.metadata), sort_keys=True)) for each in passages]
