"""Writes the word index that `edge_runtime.lexical` searches; the BM25 scores are bm25s's.

Texts are read once and not held: a passage stays in memory as its term numbers, four bytes each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from build_tools import recipe
from build_tools.errors import BuildError
from edge_runtime import languages, lexical, manifest, words

PATH = "lexical"
"""The word index's folder inside a bundle."""


def write(contents: Iterable[str], directory: Path, *, spec: recipe.LexicalSpec) -> manifest.LexicalSpec:
    """Writes the word index into the folder `PATH` of `directory`.

    The same texts, with the same versions of numpy and bm25s, give the same bytes.

    Args:
        contents: what of each passage is to be found, in row order; read once.
        directory: the bundle's directory.
        spec: BM25's constants and the stemmer.

    Returns:
        The manifest's entry; its path is relative to `directory`.

    Raises:
        BuildError: there is no passage at all.
    """
    vocabulary, corpus = _read(contents, spec.stemmer)
    if not len(corpus):
        raise BuildError("the word index got no passages; check the recipe's corpus")
    folder = directory / PATH
    folder.mkdir(parents=True, exist_ok=True)
    _write_terms(folder, vocabulary)
    _write_postings(folder, corpus, len(vocabulary), spec)
    return manifest.LexicalSpec(
        path=PATH,
        variant="lucene",
        k1=spec.k1,
        b=spec.b,
        stemmer=spec.stemmer,
        count=len(corpus),
        terms=len(vocabulary),
        writer=writer(spec.stemmer),
    )


def writer(stemmer: words.Stemmer) -> dict[str, str]:
    """What an index is made with: of another version it would have other terms or scores."""
    versions = {"bm25s": version("bm25s"), "words": words.VERSION}
    if languages.needs_library(stemmer):
        versions["snowball"] = languages.snowball_version()
    return versions


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Passages as term numbers, end to end; a sequence of lists, which is what bm25s reads."""

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for start, end in pairwise(self.ends):
            yield self.ids[start:end].tolist()


def _read(contents: Iterable[str], stemmer: words.Stemmer) -> tuple[list[str], _Corpus]:
    """The vocabulary in the order of its UTF-8 bytes, and the passages as positions in it."""
    numbers: dict[str, int] = {}
    ids, ends = array("i"), array("q", [0])
    for content in contents:
        ids.extend([numbers.setdefault(term, len(numbers)) for term in words.terms(content, stemmer)])
        ends.append(len(ids))
    vocabulary = sorted(numbers)  # by code point, which is the order of the UTF-8 bytes
    rank = np.empty(len(numbers), np.int32)
    rank[[numbers[term] for term in vocabulary]] = np.arange(len(numbers))
    return vocabulary, _Corpus(rank[np.asarray(ids, np.int32)], np.asarray(ends, np.int64))


def _write_terms(folder: Path, vocabulary: list[str]) -> None:
    encoded = [term.encode() for term in vocabulary]
    (folder / lexical.TERMS).write_bytes(b"".join(encoded))
    offsets = np.cumsum([0, *map(len, encoded)])
    _write_array(folder / lexical.OFFSETS, offsets.astype("<i8"))


def _write_postings(folder: Path, corpus: _Corpus, terms: int, spec: recipe.LexicalSpec) -> None:
    if terms:
        scorer = bm25s.BM25(k1=spec.k1, b=spec.b, method="lucene")
        matrix = scorer.build_index_from_ids(range(terms), corpus, show_progress=False)
    else:  # bm25s would divide by the mean length, which is 0
        matrix = {"indptr": np.zeros(1), "indices": np.empty(0), "data": np.empty(0)}
    _write_array(folder / lexical.INDPTR, matrix["indptr"].astype("<i8"))
    _write_array(folder / lexical.ROWS, matrix["indices"].astype("<i4"))
    _write_array(folder / lexical.SCORES, matrix["data"].astype("<f4"))


def _write_array(path: Path, values: NDArray[Any]) -> None:
    with path.open("wb") as file:
        npy_format.write_array(file, values, version=(1, 0), allow_pickle=False)
