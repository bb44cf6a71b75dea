"""The word index on disk is what its specification says, byte for byte the same each time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from build_tools import lexical, recipe
from build_tools.errors import BuildError
from edge_runtime import lexical as reader
from edge_runtime import words

PASSAGES = ["pump pump valve", "the zebra", "", "\u6c34 pump \U00020000"]


def written(folder, passages=PASSAGES, **options):
    """The manifest's entry, the terms and the three postings arrays."""
    spec = lexical.write(passages, folder, spec=recipe.LexicalSpec(**options))
    data = (folder / spec.path / reader.TERMS).read_bytes()
    ends = np.load(folder / spec.path / reader.OFFSETS).tolist()
    terms = [data[start:end].decode() for start, end in pairwise(ends)]
    arrays = [np.load(folder / spec.path / name) for name in (reader.INDPTR, reader.ROWS, reader.SCORES)]
    return spec, terms, arrays


def test_layout(tmp_path):
    """Terms by bytes, rows rising within a term, arrays of the documented types."""
    spec, terms, (indptr, rows, scores) = written(tmp_path)
    assert terms == ["pump", "valv", "zebra", "\u6c34", "\U00020000"]
    assert indptr.tolist() == [0, 2, 3, 4, 5, 6]
    assert rows.tolist() == [0, 3, 0, 1, 3, 3]
    assert [array.dtype.str for array in (indptr, rows, scores)] == ["<i8", "<i4", "<f4"]
    assert (spec.count, spec.terms, spec.path) == (4, 5, "lexical")


def test_scores_follow_the_formula(tmp_path):
    """Lucene's BM25, worked out by hand for one posting."""
    _, _, (_, _, scores) = written(tmp_path, k1=0.9, b=0.4)
    idf = np.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    mean_length = (3 + 1 + 0 + 3) / 4
    assert scores[0] == pytest.approx(idf * 2 / (2 + 0.9 * (1 - 0.4 + 0.4 * 3 / mean_length)), rel=1e-6)


def test_manifest_entry(tmp_path):
    """The entry repeats the recipe and says who wrote the index."""
    spec, _, _ = written(tmp_path, k1=1.2, b=0.75, stemmer="none")
    assert (spec.variant, spec.k1, spec.b, spec.stemmer) == ("lucene", 1.2, 0.75, "none")
    assert spec.writer["words"] == words.VERSION
    assert set(spec.writer) == {"bm25s", "words"}


def test_reads_a_stream_once(tmp_path):
    """A generator is enough, and gives the same bytes as a list."""
    written(tmp_path / "list")
    written(tmp_path / "stream", (passage for passage in PASSAGES))
    files = sorted((tmp_path / "list" / "lexical").iterdir())
    assert len(files) == 5
    for file in files:
        assert file.read_bytes() == (tmp_path / "stream" / "lexical" / file.name).read_bytes()


def test_writing_again_replaces(tmp_path):
    """A second build into the same folder leaves nothing of the first."""
    written(tmp_path)
    spec, terms, _ = written(tmp_path, ["other"])
    assert (spec.count, terms) == (1, ["other"])


def test_no_words_at_all(tmp_path):
    """Punctuation alone gives empty arrays of the right types, not an error."""
    spec, terms, (indptr, rows, scores) = written(tmp_path, ["...", ""])
    assert (spec.count, spec.terms, terms) == (2, 0, [])
    assert (indptr.tolist(), rows.tolist(), scores.tolist()) == ([0], [], [])
    assert [array.dtype.str for array in (indptr, rows, scores)] == ["<i8", "<i4", "<f4"]


def test_no_passages(tmp_path):
    """An empty corpus cannot be indexed; nothing is written."""
    with pytest.raises(BuildError, match="no passages"):
        lexical.write([], tmp_path, spec=recipe.LexicalSpec())
    assert list(tmp_path.iterdir()) == []
