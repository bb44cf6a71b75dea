"""Words to passages: BM25 whose scores were computed at build time, so a query only adds them up.

The files under ``lexical/``, all little-endian and used in place, through the bundle's mappings:

    terms.bin             every distinct term as UTF-8, in rising order of bytes, with nothing between
    terms.offsets.npy     int64 (terms + 1,): term t is the bytes from offsets[t] up to offsets[t + 1]
    postings.indptr.npy   int64 (terms + 1,): term t has the postings from indptr[t] up to indptr[t + 1]
    postings.rows.npy     int32 (postings,): passage rows, rising within a term
    postings.scores.npy   float32 (postings,): what an occurrence of the term in a query adds to that row

A passage's score is the float32 sum over the query's terms (see `words`), in order and with repeats. The
scores are BM25's as Lucene defines it (Kamphuis et al., ECIR 2020), computed beforehand as by BM25S
(arXiv 2407.03618).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import languages, words
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.manifest import LexicalSpec
from edge_runtime.ranking import Ranking
from edge_runtime.residence import AROUND, Residence
from edge_runtime.word_scores import Postings, WordScores, add_up

TERMS = "terms.bin"
OFFSETS = "terms.offsets.npy"
INDPTR = "postings.indptr.npy"
ROWS = "postings.rows.npy"
SCORES = "postings.scores.npy"

MAX_QUERY_CHARS = 8192
"""A query is read up to here; the rest is ignored, so that no query can stall the device."""

MAX_QUERY_TERMS = 128
"""Terms of a query that count, from its start; single characters only where the others leave room."""

_TERMS_LOOKED_AT = 8 * MAX_QUERY_TERMS  # for those, a millisecond or two in a text without spaces


@dataclass(frozen=True, slots=True)
class _Views:
    """The mapped files; see the module's docstring."""

    terms: memoryview
    offsets: memoryview  # of int64, as is indptr: read one by one, at half of what an array takes
    indptr: memoryview
    rows: NDArray[np.uint32]  # a negative number becomes one beyond all passages
    scores: NDArray[np.float32]

    def postings(self, term: str) -> Postings | None:
        """The term's; None for an unknown term."""
        text, offsets = self.terms, self.offsets
        count = len(offsets) - 1
        wanted = term.encode()
        i = bisect_left(range(count), wanted, key=lambda t: text[offsets[t] : offsets[t + 1]].tobytes())
        if i == count or text[offsets[i] : offsets[i + 1]] != wanted:
            return None
        where = slice(self.indptr[i], self.indptr[i + 1])
        return Postings(self.rows[where], self.scores[where]) if where.start < where.stop else None


class LexicalIndex:
    """The word index of an open bundle. Many threads may search it at once."""

    def __init__(self, views: _Views, spec: LexicalSpec, source: str, residence: Residence) -> None:
        """`residence` is that of the postings."""
        self._views: _Views | None = views
        self._spec = spec
        self._source = source
        self._residence = residence
        self._idle: list[NDArray[np.float32]] = []  # for `add_up`, as many as ever searched at once

    @classmethod
    def open(cls, bundle: Bundle, spec: LexicalSpec) -> LexicalIndex:
        """Views the bundle's files and checks that they fit together; postings are not read.

        Raises:
            CompatibilityError: the index was built with another way of splitting text into terms.
            BundleError: a file is missing, of another shape than `spec` says, or contradicts another.
        """
        source = f"{bundle.root}/{spec.path}"
        _check_writer(spec, source)
        terms = bundle.map(f"{spec.path}/{TERMS}")
        offsets = _typed(bundle, spec, OFFSETS, "<i8")
        indptr = _typed(bundle, spec, INDPTR, "<i8")
        rows = _typed(bundle, spec, ROWS, "<i4")
        scores = _typed(bundle, spec, SCORES, "<f4")
        _check_ends(offsets, spec.terms, len(terms), f"{source}/{OFFSETS}")
        _check_ends(indptr, spec.terms, len(rows), f"{source}/{INDPTR}")
        _check_ends(indptr, spec.terms, len(scores), f"{source}/{INDPTR}")
        postings = bundle.residence(f"{spec.path}/{ROWS}", f"{spec.path}/{SCORES}")
        return cls(
            _Views(terms, offsets.data, indptr.data, rows.view(np.uint32), scores), spec, source, postings
        )

    def search(self, query: str, count: int, *, allowed: Allowed | None = None) -> Ranking:
        """The passages that share terms with the query, best first, equals by row.

        Args:
            query: any text; read up to `MAX_QUERY_CHARS` and `MAX_QUERY_TERMS`.
            count: at most this many passages. Those that share no term are never among them.
            allowed: the only passages to answer with; None allows all. Scores are those of the whole corpus.

        Raises:
            BundleError: a posting names a passage that the bundle does not have.
            ClosedError: the index has been closed.
        """
        return self.scores(query).best(count, allowed=allowed)

    def scores(self, query: str) -> WordScores:
        """What the query gives every passage; arguments and errors as those of `search`."""
        views = self._views
        if views is None:
            raise ClosedError("the word index has been closed; open the bundle again")
        found = words.each_term(query[:MAX_QUERY_CHARS], self._spec.stemmer)
        lists = [postings for term in _first(found) if (postings := views.postings(term)) is not None]
        scores = self._add_up(lists)
        self._residence.touch(8 * len(scores.rows) + 2 * AROUND * len(lists))
        return scores

    def close(self) -> None:
        """Drops every view into the bundle. Closing twice is harmless."""
        self._views = None
        self._idle.clear()

    def _add_up(self, lists: list[Postings]) -> WordScores:
        try:
            cells = self._idle.pop()
        except IndexError:  # every other one is in use
            cells = np.zeros(self._spec.count, np.float32)
        try:
            scores = add_up(lists, cells)
        except IndexError:
            raise BundleError(
                f"{self._source}/{ROWS}: names a passage beyond the {self._spec.count} of the bundle; "
                "rebuild the bundle"
            ) from None
        self._idle.append(cells)
        return scores


def _first(terms: Iterable[str]) -> list[str]:
    """Those that count, in their order.

    In scripts without spaces the characters leave room for the pairs, which tell passages apart.
    """
    long: list[tuple[int, str]] = []
    single: list[tuple[int, str]] = []
    for place in enumerate(islice(terms, _TERMS_LOOKED_AT)):
        (long if len(place[1]) > 1 else single).append(place)
        if len(long) == MAX_QUERY_TERMS:
            break
    return [term for _, term in sorted((long + single)[:MAX_QUERY_TERMS])]


def _check_writer(spec: LexicalSpec, source: str) -> None:
    found = spec.writer.get("words")
    if found not in words.READABLE:
        raise CompatibilityError(
            f"{source}: text was split into terms by version {found}, this runtime splits by version "
            f"{words.VERSION}; update edge-runtime or rebuild the bundle"
        )
    if obstacle := languages.obstacle(spec.stemmer, spec.writer.get("snowball")):
        raise CompatibilityError(f"{source}: {obstacle}")


def _typed(bundle: Bundle, spec: LexicalSpec, name: str, dtype: str) -> NDArray[Any]:
    member = f"{spec.path}/{name}"
    array = bundle.array(member)
    if array.dtype != np.dtype(dtype) or array.ndim != 1:
        raise BundleError(
            f"{bundle.root}/{member}: expected one dimension of {np.dtype(dtype).name}; "
            f"found {array.ndim} of {array.dtype.name}; rebuild the bundle"
        )
    return array


def _check_ends(ends: NDArray[np.int64], terms: int, total: int, source: str) -> None:
    """`ends` must rise from 0 to `total` in terms + 1 steps, or a slice could reach outside its file."""
    problem = ""
    if len(ends) != terms + 1:
        problem = f"expected {terms + 1} entries; found {len(ends)}"
    elif ends[0] != 0 or ends[-1] != total:
        problem = f"expected to run from 0 to {total}; found {ends[0]} to {ends[-1]}"
    elif np.any(ends[1:] < ends[:-1]):
        problem = "expected rising entries; found a falling one"
    if problem:
        raise BundleError(f"{source}: {problem}; rebuild the bundle")
