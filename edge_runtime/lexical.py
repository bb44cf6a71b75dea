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

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import words
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.manifest import LexicalSpec
from edge_runtime.ranking import Ranking, empty
from edge_runtime.residence import Residence

TERMS = "terms.bin"
OFFSETS = "terms.offsets.npy"
INDPTR = "postings.indptr.npy"
ROWS = "postings.rows.npy"
SCORES = "postings.scores.npy"

MAX_QUERY_CHARS = 8192
"""A query is read up to here; the rest is ignored, so that no query can stall the device."""

MAX_QUERY_TERMS = 128
"""Terms of a query that count, from its start."""


@dataclass(frozen=True, slots=True)
class _Views:
    """The mapped files; see the module's docstring."""

    terms: memoryview
    offsets: memoryview  # of int64, as is indptr: read one by one, at half of what an array takes
    indptr: memoryview
    rows: NDArray[np.int32]
    scores: NDArray[np.float32]

    def postings(self, term: str) -> slice | None:
        """Where the term's postings lie; None for an unknown term."""
        text, offsets = self.terms, self.offsets
        count = len(offsets) - 1
        wanted = term.encode()
        i = bisect_left(range(count), wanted, key=lambda t: text[offsets[t] : offsets[t + 1]].tobytes())
        if i == count or text[offsets[i] : offsets[i + 1]] != wanted:
            return None
        return slice(self.indptr[i], self.indptr[i + 1])


@dataclass(frozen=True, slots=True)
class WordScores:
    """A query's BM25 scores over all passages.

    Attributes:
        totals: float32 (passages,), 0 where no word is shared.
        rows: int64 (n,), rising: those that share a word.
        scores: float32 (n,), theirs.
    """

    totals: NDArray[np.float32]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def passages(self) -> int:
        """How many there are in all."""
        return len(self.totals)

    @property
    def share(self) -> float:
        """Of the passages that share a word with the query, 0 to 1."""
        return len(self.rows) / self.passages

    @property
    def best_score(self) -> float:
        """The highest; 0 where no passage shares a word."""
        return float(self.scores.max(initial=0))

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation over all passages."""
        scores = self.scores.astype(np.float64)
        mean = float(scores.sum()) / self.passages
        return mean, math.sqrt(max(0.0, float(scores @ scores) / self.passages - mean**2))

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of these passages, shape as given."""
        return self.totals[rows]

    def best(self, count: int, *, allowed: Allowed | None = None) -> Ranking:
        """The first `count` of the allowed passages, best first, equals by row; none that shares no word."""
        rows, scores = self.rows, self.scores
        if allowed is not None:
            kept = allowed.mask[rows]
            rows, scores = rows[kept], scores[kept]
        if count < 1 or not len(rows):
            return empty()
        if len(rows) > count:
            last = np.partition(scores, len(rows) - count)[len(rows) - count]
            # Every equal of the last one is kept: the lower rows win, not the luck of a partition.
            kept = scores >= last
            rows, scores = rows[kept], scores[kept]
        order = np.argsort(-scores, kind="stable")[:count]
        return Ranking(rows[order], scores[order])


class LexicalIndex:
    """The word index of an open bundle. Many threads may search it at once."""

    def __init__(self, views: _Views, spec: LexicalSpec, source: str, residence: Residence) -> None:
        """`residence` is that of the postings."""
        self._views: _Views | None = views
        self._spec = spec
        self._source = source
        self._residence = residence

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
        return cls(_Views(terms, offsets.data, indptr.data, rows, scores), spec, source, postings)

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
        found = words.terms(query[:MAX_QUERY_CHARS], self._spec.stemmer)[:MAX_QUERY_TERMS]
        slices = [where for term in found if (where := views.postings(term)) is not None]
        totals = self._sum(views, slices)
        rows = np.flatnonzero(totals > 0)
        return WordScores(totals, rows, totals[rows])

    def close(self) -> None:
        """Drops every view into the bundle. Closing twice is harmless."""
        self._views = None

    def _sum(self, views: _Views, slices: list[slice]) -> NDArray[np.float32]:
        totals = np.zeros(self._spec.count, np.float32)
        try:
            for where in slices:
                totals[views.rows[where]] += views.scores[where]
        except IndexError:
            raise BundleError(
                f"{self._source}/{ROWS}: names a passage beyond the {self._spec.count} of the bundle; "
                "rebuild the bundle"
            ) from None
        self._residence.touch(8 * sum(where.stop - where.start for where in slices))
        return totals


def _check_writer(spec: LexicalSpec, source: str) -> None:
    found = spec.writer.get("words")
    if found != words.VERSION:
        raise CompatibilityError(
            f"{source}: text was split into terms by version {found}, this runtime splits by version "
            f"{words.VERSION}; update edge-runtime or rebuild the bundle"
        )


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
