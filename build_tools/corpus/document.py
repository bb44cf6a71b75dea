"""What readers yield and what the chunker makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Document:
    """One document as its source gives it.

    Attributes:
        key: unique in the corpus, stable between builds; hits carry it.
        title: may be empty.
        text: never empty; plain text.
        metadata: JSON values by name.
        origin: ``file:line`` or whatever tells a person where to look, for errors.
    """

    key: str
    title: str
    text: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document that gets one vector.

    Attributes:
        document: the document's `Document.key`.
        ordinal: position in the document, from 0.
        title: the document's title.
        text: the stretch itself, without the title.
        metadata: the document's metadata.
    """

    document: str
    ordinal: int
    title: str
    text: str
    metadata: Mapping[str, object]

    @property
    def content(self) -> str:
        """What the towers and the word index read: title and text."""
        return f"{self.title} {self.text}" if self.title else self.text
