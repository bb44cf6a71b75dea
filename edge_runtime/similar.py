"""The documents most like one of the corpus, by the vectors that the index holds already: no encoder runs.

Two documents are as alike as their most similar pair of passages. Where the index is searched exactly, all
passages are compared with all of the document's in one pass; in a graph each of them is a search of its own.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_runtime import candidates, grouping
from edge_runtime.allowed import Allowed
from edge_runtime.candidates import Candidate
from edge_runtime.dense import DenseIndex
from edge_runtime.documents import Documents
from edge_runtime.errors import QueryError
from edge_runtime.filters import Filter
from edge_runtime.manifest import Manifest
from edge_runtime.ranking import Ranking
from edge_runtime.schema import shown

_BLOCK = 1024  # passages compared with as many others at a time: 4 MB of cosines


def to(
    key: str,
    count: int,
    *,
    where: Filter | None,
    manifest: Manifest,
    dense: DenseIndex,
    documents: Documents,
) -> list[Candidate]:
    """The `count` documents nearest to the one with this key, best first, of those that a filter allows.

    Raises:
        QueryError: no document has the key.
    """
    rows = documents.rows(key)
    if not len(rows):
        raise QueryError(f"key: no document has the key {shown(key)}; a hit's `key` is one")
    allowed = None if where is None else documents.allowed(where)
    return nearest(rows, count, allowed=allowed, manifest=manifest, dense=dense, documents=documents)


def nearest(
    own: NDArray[np.int64],
    count: int,
    *,
    allowed: Allowed | None,
    manifest: Manifest,
    dense: DenseIndex,
    documents: Documents,
) -> list[Candidate]:
    """The `count` documents nearest to the one that has these rows, best first, without itself.

    Args:
        own: int64 (n,), all passages of one document.
        allowed: the only passages to answer with; None allows all.
    """
    spec = manifest.documents
    if allowed is None:
        allowed = Allowed(np.ones(spec.passages, np.bool_), spec.passages, spec.documents)
    others = _without(own, allowed)
    if others.documents == 0:
        return []
    if manifest.index.search == "exact":
        ranking = _compared(own, np.flatnonzero(others.mask), dense)
    else:
        ranking = _searched(own, count, others, dense, documents)
    grouped = candidates.group(ranking, documents.owners(ranking.rows), count)
    return candidates.single(grouped, lexical=False)


def _compared(own: NDArray[np.int64], others: NDArray[np.int64], dense: DenseIndex) -> Ranking:
    """All others, each by its highest cosine with one of the document's own."""
    best = np.full(len(others), -np.inf, np.float32)
    for start in range(0, len(others), _BLOCK):
        some = _units(dense.vectors(others[start : start + _BLOCK]))
        highest = best[start : start + _BLOCK]
        for first in range(0, len(own), _BLOCK):
            cosines = _units(dense.vectors(own[first : first + _BLOCK])) @ some.T
            np.maximum(highest, cosines.max(axis=0), out=highest)
    order = np.argsort(-best, kind="stable")
    return Ranking(others[order], best[order])


def _searched(
    own: NDArray[np.int64], count: int, others: Allowed, dense: DenseIndex, documents: Documents
) -> Ranking:
    """The best passages of the first documents that each of the document's own finds; a passage may be in it
    several times.
    """
    found = [
        grouping.first_documents(
            partial(dense.search, vector, allowed=others), count, documents=documents, among=others
        )
        for vector in dense.vectors(own)
    ]
    rows = np.concatenate([grouped.rows for grouped in found])
    scores = np.concatenate([grouped.scores for grouped in found])
    order = np.lexsort((rows, -scores))
    return Ranking(rows[order], scores[order])


def _units(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    floats = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats))
    floats /= np.maximum(lengths, 1)[:, None]
    return floats


def _without(own: NDArray[np.int64], allowed: Allowed) -> Allowed:
    """What is allowed but for one document, all of whose rows are given."""
    mask = allowed.mask.copy()
    mask[own] = False
    left = int(np.count_nonzero(mask))
    return Allowed(mask, left, allowed.documents - (left < allowed.passages))
