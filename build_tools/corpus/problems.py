"""Records that cannot be read, and the log of those that a recipe chose to skip.

Readers yield a `BadRecord` in place of a document, so that one bad line does not end the stream;
`reader.read` raises it or counts it here, as the recipe's ``on_error`` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from build_tools.corpus.document import Document


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that is no document.

    Attributes:
        origin: ``file:line``, or the file.
        reason: the kind of problem in a few words, the same for all records that share it.
        detail: what was expected and what was found in this one.
    """

    origin: str
    reason: str
    detail: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.origin}: {self.reason}: {self.detail}"


Record = Document | BadRecord
"""What a reader yields."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many records were skipped for one reason, and where the first of them is."""

    reason: str
    count: int
    first: str


class SkipLog:
    """Counts the records that a build left out, by reason."""

    def __init__(self) -> None:
        """Starts empty."""
        self._by_reason: dict[str, Skipped] = {}

    def add(self, bad: BadRecord) -> None:
        """Counts one more skipped record."""
        known = self._by_reason.get(bad.reason, Skipped(bad.reason, 0, bad.origin))
        self._by_reason[bad.reason] = Skipped(bad.reason, known.count + 1, known.first)

    @property
    def total(self) -> int:
        """Records skipped, over all reasons."""
        return sum(entry.count for entry in self._by_reason.values())

    @property
    def entries(self) -> tuple[Skipped, ...]:
        """One entry a reason, the most frequent first."""
        return tuple(sorted(self._by_reason.values(), key=lambda entry: (-entry.count, entry.reason)))

    def summary(self) -> str:
        """One line for a person; empty when nothing was skipped."""
        return "; ".join(f"{e.count} x {e.reason} (first: {e.first})" for e in self.entries)
