"""What a search is asked, checked before any work is done."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge_runtime import arguments, filters
from edge_runtime.errors import QueryError
from edge_runtime.filters import Filter
from edge_runtime.manifest import Manifest
from edge_runtime.schema import shown

Mode = Literal["hybrid", "dense", "lexical"]
Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A query and its arguments.

    Attributes:
        text: cleaned, not blank.
        k: hits that are wanted, no more than there are documents.
        depth: documents that are reranked; 0 for none, no more than there are documents.
    """

    text: str
    k: int
    mode: Mode
    where: Filter | None = None
    depth: int = 0

    @property
    def candidates(self) -> int:
        """How many documents the stages before the reranker must find."""
        return max(self.k, self.depth)


def check(
    query: str,
    manifest: Manifest,
    *,
    k: int,
    mode: Mode,
    where: Where | None = None,
    rerank: bool | int | None = None,
) -> Question:
    """The arguments of `Retriever.search` for a bundle.

    Raises:
        QueryError: one of them cannot be used.
    """
    text = arguments.clean(query)
    documents = manifest.documents.documents
    k = min(arguments.whole(k, "k"), documents)
    if not isinstance(mode, str) or mode not in get_args(Mode):
        raise QueryError(f"mode: expected one of {', '.join(get_args(Mode))}; found {shown(mode)}")
    tree = None if where is None else filters.parse(where)
    return Question(text, k, mode, tree, min(rerank_depth(rerank, manifest), documents))


def rerank_depth(rerank: bool | int | None, manifest: Manifest) -> int:
    """How many documents `rerank` asks for: the bundle's number for True, none for False and None.

    Raises:
        QueryError: it is something else, or the bundle has no reranker.
    """
    if rerank is None or rerank is False:
        return 0
    try:
        number = operator.index(rerank)
    except TypeError:
        number = 0
    if number < 1:
        raise QueryError(f"rerank: expected true, false or a whole number from 1; found {shown(rerank)}")
    if manifest.reranker is None:
        raise QueryError(
            f"rerank: bundle {manifest.name} has no reranker; search without, or name one in its recipe "
            "(reranker: {model: …}) and build it again"
        )
    return manifest.reranker.depth if rerank is True else number
