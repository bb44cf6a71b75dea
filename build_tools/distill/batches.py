"""Training examples, and the padded batches that they are served in.

The order of batches depends on the seed and the epoch alone, so a resumed run sees what an undisturbed
one would have seen. Texts of similar length share a batch: padding is computed for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from build_tools.errors import BuildError

POOLED_BATCHES = 128
"""Batches whose texts are sorted by length together: little padding, still well mixed."""

TokenIds = Sequence[int]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """Token ids, one sequence a text, and the teacher's unit vectors (n, ndim)."""

    tokens: Sequence[TokenIds]
    targets: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CandidateExamples:
    """Tokenized queries, each with documents to be told apart; `lessons.Candidates` says more.

    Attributes:
        tokens: n queries.
        rows: (n, c), rows of `documents`; column 0 is the positive where `labelled`.
        labelled: (n,), whether a person said that column 0 answers the query.
        cosines: (n, c), the bi-encoder teacher's.
        documents: the unit vectors (passages, ndim) of all documents; a mapped file will do.
        scores: (n, c), the cross-encoder's logits, if there is one.
    """

    tokens: Sequence[TokenIds]
    rows: Rows
    labelled: NDArray[np.bool_]
    cosines: NDArray[np.float32]
    documents: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None

    def take(self, rows: Rows) -> CandidateExamples:
        """The queries at `rows`, in that order."""
        return CandidateExamples(
            [self.tokens[row] for row in rows],
            self.rows[rows],
            self.labelled[rows],
            self.cosines[rows],
            self.documents,
            None if self.scores is None else self.scores[rows],
        )

    def hold_out(self, share: float, *, seed: int) -> tuple[CandidateExamples, CandidateExamples]:
        """Training and held-out examples; a query with several positives goes to one side with all of them.

        Raises:
            BuildError: there are not two different queries.
        """
        numbers: dict[tuple[int, ...], int] = {}
        query = np.array([numbers.setdefault(tuple(tokens), len(numbers)) for tokens in self.tokens])
        if len(numbers) < 2:
            raise BuildError(
                f"training: expected two or more different queries with candidates; found {len(numbers)}"
            )
        held = np.random.default_rng(seed).permutation(len(numbers))[: max(1, int(len(numbers) * share))]
        inside = np.isin(query, held)
        return self.take(np.flatnonzero(~inside)), self.take(np.flatnonzero(inside))


@dataclass(frozen=True, slots=True)
class AlignmentBatch:
    """Texts and where they should land.

    Attributes:
        ids, mask: int64 (b, t).
        targets: the teacher's unit vectors (b, ndim).
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """Queries and their candidates.

    Attributes:
        ids, mask: int64 (b, t).
        documents: unit vectors (b, c, ndim).
        labelled: bool (b,), whether document 0 is a labelled positive.
        cosines: (b, c), the bi-encoder teacher's.
        scores: (b, c), the cross-encoder's logits, if there is one.
    """

    ids: Tensor
    mask: Tensor
    documents: Tensor
    labelled: Tensor
    cosines: Tensor
    scores: Tensor | None = None


def pad(sequences: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Token ids and mask, int64 (n, longest), zero where a sequence has ended."""
    lengths = np.array([len(sequence) for sequence in sequences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(sequences), np.int64, lengths.sum())
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def alignment_batches(examples: Examples, size: int, *, seed: int, start: int) -> Iterator[AlignmentBatch]:
    """Batches from step `start` on, without end."""
    lengths = _lengths(examples.tokens)
    for rows in _endless(lengths, [np.arange(len(lengths))], size, stream=(seed, 0), start=start):
        ids, mask = pad([examples.tokens[row] for row in rows])
        yield AlignmentBatch(ids, mask, torch.from_numpy(np.ascontiguousarray(examples.targets[rows])))


def candidate_batches(
    examples: CandidateExamples, size: int, *, seed: int, start: int
) -> Iterator[CandidateBatch]:
    """Batches from step `start` on, without end.

    Labelled queries and others never share one: in-batch negatives want as many labelled queries as fit.
    """
    lengths = _lengths(examples.tokens)
    for rows in _endless(lengths, _groups(examples), size, stream=(seed, 1), start=start):
        yield _candidate_batch(examples, rows)


def held_out_batches(examples: CandidateExamples, size: int) -> Iterator[CandidateBatch]:
    """Every query once, always in the same batches."""
    lengths = _lengths(examples.tokens)
    for group in _groups(examples):
        order = group[np.argsort(lengths[group], kind="stable")]
        for first in range(0, len(order), size):
            yield _candidate_batch(examples, order[first : first + size])


def _candidate_batch(examples: CandidateExamples, rows: Rows) -> CandidateBatch:
    ids, mask = pad([examples.tokens[row] for row in rows])
    return CandidateBatch(
        ids,
        mask,
        torch.from_numpy(np.asarray(examples.documents[examples.rows[rows]], np.float32)),
        torch.from_numpy(examples.labelled[rows]),
        torch.from_numpy(examples.cosines[rows]),
        None if examples.scores is None else torch.from_numpy(examples.scores[rows]),
    )


def _groups(examples: CandidateExamples) -> list[Rows]:
    groups = [np.flatnonzero(examples.labelled), np.flatnonzero(~examples.labelled)]
    return [group for group in groups if len(group)]


def _lengths(tokens: Sequence[TokenIds]) -> Rows:
    return np.array([len(sequence) for sequence in tokens], np.int64)


def _endless(
    lengths: Rows, groups: Sequence[Rows], size: int, *, stream: tuple[int, int], start: int
) -> Iterator[Rows]:
    per_epoch = sum(len(group) // min(size, len(group)) for group in groups)
    epoch, skip = divmod(start, per_epoch)
    while True:
        yield from islice(_epoch(lengths, groups, size, np.random.default_rng((*stream, epoch))), skip, None)
        epoch, skip = epoch + 1, 0


def _epoch(lengths: Rows, groups: Sequence[Rows], size: int, rng: np.random.Generator) -> list[Rows]:
    """Every full batch of one epoch; a group smaller than a batch is one batch."""
    batches: list[Rows] = []
    for group in groups:
        order, full = rng.permutation(group), min(size, len(group))
        for first in range(0, len(order), full * POOLED_BATCHES):
            pool = order[first : first + full * POOLED_BATCHES]
            pool = pool[: len(pool) // full * full]  # in this order: by length, the longest would never train
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[i : i + full] for i in range(0, len(pool), full)]
    return [batches[i] for i in rng.permutation(len(batches))]
