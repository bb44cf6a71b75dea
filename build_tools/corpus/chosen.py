"""Whether the optional fields that a recipe names are there, where no header row says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from build_tools.corpus import jsonl, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.records import Row
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields


def checked(documents: Iterator[Document], spec: CorpusSpec) -> Iterator[Document]:
    """The documents of `spec`.

    Raises:
        CorpusError: at their end, when no record has a title or metadata field that the recipe chose.
    """
    unseen = _chosen(spec.fields) if spec.source == "jsonl" else {}
    for document in documents:
        for name in [name for name in unseen if _has(document, name, spec.fields)]:
            del unseen[name]
        yield document
    if unseen:
        _check_records(unseen, Path(spec.path or ""))


def _chosen(fields: Fields) -> dict[str, str]:
    """The optional fields that the recipe names itself, each with the setting that does."""
    chosen = dict.fromkeys(fields.metadata, "metadata")
    if fields.title and fields.title != Fields().title:
        chosen[fields.title] = "title"
    return chosen


def _has(document: Document, name: str, fields: Fields) -> bool:
    return name in document.metadata or (name == fields.title and document.title != "")


def _check_records(unseen: dict[str, str], path: Path) -> None:
    # Read again, since a record may have the field and be skipped, or have an empty title.
    first: Row | None = None
    for row in jsonl.rows(path):
        if isinstance(row, Row):
            first = first or row
            unseen = {name: setting for name, setting in unseen.items() if name not in row.values}
    if unseen:
        name, setting = next(iter(unseen.items()))
        found = ", ".join(map(repr, first.values)) if first else "no fields"
        raise CorpusError(
            f"{utf8.printable(path)}: corpus.fields.{setting}: no record has {name!r}; the first has {found}"
        )
