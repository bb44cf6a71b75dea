"""From a search for passages to the documents that it finds."""

from __future__ import annotations

from collections.abc import Callable

from edge_runtime import candidates
from edge_runtime.allowed import Allowed
from edge_runtime.candidates import Grouped
from edge_runtime.documents import Documents
from edge_runtime.manifest import DocumentsSpec
from edge_runtime.ranking import Ranking


def first_documents(
    search: Callable[[int], Ranking], wanted: int, *, documents: Documents, among: DocumentsSpec | Allowed
) -> Grouped:
    """The first `wanted` documents of a passage search, asking for more passages until they are there.

    Args:
        search: gives the first so many passages.
        among: how many passages and documents it has to choose from.
    """
    wanted = min(wanted, among.documents)
    count = wanted * -(-among.passages // among.documents)
    while True:
        ranking = search(count)
        grouped = candidates.group(ranking, documents.owners(ranking.rows), wanted)
        exhausted = len(ranking) < count or count >= among.passages
        if len(grouped.documents) == wanted or exhausted:
            return grouped
        count *= 4
