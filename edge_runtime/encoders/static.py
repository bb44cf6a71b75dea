"""Static query encoders: a table of token vectors, run by NumPy alone.

A query's vector is the sum of its tokens' rows and of the rows of those adjacent pairs (bigrams) that have
one, divided by its length. The encoder's head and the tokens' weights are folded into the rows, so there
is nothing to infer and no engine to install; a query reads a few kilobytes of mapped files.

    table.npy    int8 (vocabulary + bigrams, ndim)
    scales.npy   float32 (vocabulary + bigrams,): row r stands for table[r] * scales[r]
    bigrams.npy  int64 (bigrams,): rising keys left * vocabulary + right; the i-th has row vocabulary + i
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle import Bundle
from edge_runtime.encoder_spec import BIGRAMS, SCALES, TABLE, EncoderSpec
from edge_runtime.encoders.base import Encoder
from edge_runtime.errors import BundleError, ClosedError, EngineError

MAX_SCALE = 1e6
"""Beyond any sensible weight, and small enough that no sum of rows leaves the range of float32."""

_LEAST_SQUARED = 1e-24  # a vector a billionth of a billionth long is rounding noise, not a direction


@dataclass(frozen=True, slots=True)
class Tables:
    """The arrays of the three files, as checked by `StaticEncoder.load`; see the module for their shapes."""

    table: NDArray[np.int8]
    scales: NDArray[np.float32]
    bigrams: NDArray[np.int64]
    vocabulary: int


class StaticEncoder(Encoder):
    """A table of token vectors, mapped from the bundle. Thread-safe, for it keeps no state."""

    def __init__(self, tables: Tables, source: str) -> None:
        self.engine = installed()
        self._tables: Tables | None = tables
        self._source = source

    @classmethod
    def load(cls, bundle: Bundle, spec: EncoderSpec) -> StaticEncoder:
        """Views the three files and checks that they fit together; the table itself is not read.

        Raises:
            BundleError: a file is not an array of the right type and shape, or contradicts another.
        """
        source = f"{bundle.root}/{spec.path}"
        arrays = {name: bundle.array(f"{spec.path}/{name}") for name in (TABLE, SCALES, BIGRAMS)}
        _check_types(arrays, spec.ndim, source)
        table, scales, bigrams = arrays.values()
        vocabulary = len(table) - len(bigrams)
        _check_scales(scales, len(table), f"{source}/{SCALES}")
        _check_bigrams(bigrams, vocabulary, f"{source}/{BIGRAMS}")
        return cls(Tables(table, scales, bigrams, vocabulary), source)

    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """The normalised sum of the rows; see `Encoder.encode`.

        Raises:
            EngineError: no tokens, an id beyond the table, or rows that sum to nothing.
            ClosedError: after `close`.
        """
        tables = self._tables
        if tables is None:
            raise ClosedError("the encoder has been closed; open the bundle again")
        rows = _rows(tables, token_ids, self._source)
        # take and a product by BLAS: half the time of fancy indexing and a weighted sum.
        chosen = tables.table.take(rows, axis=0).astype(np.float32)
        total: NDArray[np.float32] = tables.scales.take(rows) @ chosen
        squared = float(total @ total)
        if squared < _LEAST_SQUARED:
            raise EngineError(
                f"{self._source}: the rows of {len(token_ids)} tokens sum to zero, which has no direction; "
                "ask in other words, or search with mode='lexical'"
            )
        total *= np.float32(1 / math.sqrt(squared))
        return total

    def close(self) -> None:
        """Drops the arrays, so that the bundle can unmap them."""
        self._tables = None


def installed() -> str:
    """Name and version of what runs static encoders, which is always there."""
    return f"numpy {np.__version__}"


def _rows(tables: Tables, token_ids: Sequence[int], source: str) -> NDArray[np.int64]:
    """Rows of the tokens, then of the bigrams among them."""
    if not len(token_ids):
        raise EngineError(f"{source}: no tokens to encode; expected at least one")
    least, most = min(token_ids), max(token_ids)
    if least < 0 or most >= tables.vocabulary:
        wrong = least if least < 0 else most
        raise EngineError(
            f"{source}: token {wrong} is beyond the table of {tables.vocabulary} tokens; "
            "the tokenizer is another encoder's; rebuild the bundle"
        )
    ids = np.array(token_ids, np.int64)
    if not len(tables.bigrams):
        return ids
    keys = ids[:-1] * tables.vocabulary + ids[1:]
    places = np.minimum(tables.bigrams.searchsorted(keys), len(tables.bigrams) - 1)
    found = places[tables.bigrams[places] == keys]
    return np.concatenate((ids, found + tables.vocabulary))


def _check_types(arrays: dict[str, NDArray[Any]], ndim: int, source: str) -> None:
    expected = {TABLE: ("<i1", 2), SCALES: ("<f4", 1), BIGRAMS: ("<i8", 1)}
    for name, (dtype, dimensions) in expected.items():
        array = arrays[name]
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise BundleError(
                f"{source}/{name}: expected {np.dtype(dtype).str} in {dimensions} dimensions; "
                f"found {array.dtype.str} in {array.ndim}; rebuild the bundle"
            )
    width = arrays[TABLE].shape[1]
    if width != ndim:
        raise BundleError(
            f"{source}/{TABLE}: rows of {width} components; the manifest says {ndim}; rebuild the bundle"
        )


def _check_scales(scales: NDArray[np.float32], rows: int, source: str) -> None:
    if len(scales) != rows:
        raise BundleError(f"{source}: {len(scales)} scales for {rows} rows; rebuild the bundle")
    if not np.all(np.abs(scales) <= MAX_SCALE):  # False for NaN as well
        raise BundleError(f"{source}: a scale is not a number of at most {MAX_SCALE:g}; rebuild the bundle")


def _check_bigrams(bigrams: NDArray[np.int64], vocabulary: int, source: str) -> None:
    problem = ""
    if vocabulary < 1:
        problem = f"{len(bigrams)} bigrams in a table of {vocabulary + len(bigrams)} rows; expected fewer"
    elif np.any(bigrams[1:] <= bigrams[:-1]):
        problem = "expected strictly rising keys; found one that does not rise"
    elif len(bigrams) and not 0 <= bigrams[0] <= bigrams[-1] < vocabulary**2:
        problem = f"expected keys of a vocabulary of {vocabulary}; found {bigrams[0]} to {bigrams[-1]}"
    if problem:
        raise BundleError(f"{source}: {problem}; rebuild the bundle")
