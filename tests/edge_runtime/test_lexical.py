"""Words find passages, with bm25s's own scores, and a damaged index is refused."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools import lexical as writer
from build_tools import recipe
from edge_runtime import lexical, manifest, ranking, words
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle, sha256
from edge_runtime.errors import BundleError, ClosedError, CompatibilityError
from edge_runtime.lexical import LexicalIndex

PASSAGES = (
    "shutil.rmtree removes a directory tree",
    "os.remove removes a file, one file",
    "error E-1402: the pump has lost pressure",
    "...",
    "os.remove removes a file, one file",
)


def bundle_of(root, spec):
    """A bundle of which only the word index exists; nothing else of it is opened here."""
    other = [manifest.FileEntry(name, 0, "0" * 64) for name in ("e", "t", "d.usearch", "x", "o", "g", "q")]
    files = sorted((root / spec.path).iterdir())
    entries = [manifest.FileEntry(f"{spec.path}/{f.name}", f.stat().st_size, sha256(f)) for f in files]
    count = spec.count
    return Bundle(
        root,
        manifest.Manifest(
            format=manifest.FORMAT,
            name="words",
            version="1.0.0",
            created="2025-01-01T00:00:00Z",
            compatible=manifest.Compatible("0.1.0"),
            encoders=(manifest.EncoderSpec("one", "onnx", "e", "t", 4, 16, "", 1, {}),),
            index=manifest.IndexSpec("d.usearch", "exact", "cos", "i8", 4, count, 1.0, 8, {}),
            lexical=spec,
            documents=manifest.DocumentsSpec("x", "o", count, count, {}),
            fusion=manifest.FusionSpec(),
            golden="g",
            quality="q",
            licences=(),
            files=(*other, *entries),
        ),
    )


@pytest.fixture
def build(tmp_path):
    """Writes an index over the given passages; gives its spec and a function that opens it."""

    def make(passages=PASSAGES, **options):
        spec = writer.write(passages, tmp_path, spec=recipe.LexicalSpec(**options))
        return spec, lambda changed=spec: LexicalIndex.open(bundle_of(tmp_path, spec), changed)

    return make


def rows(index, query, count=10):
    return index.search(query, count).rows.tolist()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("removing directories", [0, 1, 4]),
        ("E-1402", [2]),
        ("e1402", [2]),
        ("what does error 1402 mean", [2]),
        ("rmtree", [0]),
        ("file", [1, 4]),
        ("zebra", []),
        ("zzzz", []),
        ("!", []),
        ("", []),
        ("to be or not to be", []),
        ("\x00\x1b\n", []),
        ("\ud800", []),
        ("pump \udfff", [2]),
    ],
)
def test_search(build, query, expected):
    """The passages that share a term, best first, equals by row; no others."""
    _, reader = build()
    assert rows(reader(), query) == expected


def test_types_and_order(build):
    """A ranking holds int64 rows and float32 scores that never rise and are all above zero."""
    _, reader = build()
    found = reader().search("remove a file or directory", 10)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores > 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
def test_ties_go_to_the_lower_row(build, count):
    """Among equals the first rows win, however many are asked for."""
    _, reader = build(["a pump", "pump pump pump", *["a pump"] * 6])
    assert rows(reader(), "pump", count) == [1, 0, 2, 3, 4, 5, 6, 7][:count]


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_asked(build, count):
    """A count below one gives an empty ranking."""
    _, reader = build()
    assert len(reader().search("file", count)) == len(ranking.empty())


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("rows_allowed", [[], [0], [1, 2], [0, 4], [0, 1, 2, 3, 4]])
def test_only_allowed_passages(build, count, rows_allowed):
    """The ranking without a filter, less the others; scores stay as they are."""
    _, opened = build()
    index = opened()
    mask = np.isin(np.arange(len(PASSAGES)), rows_allowed)
    query = "remove a file or directory"
    every = index.search(query, len(PASSAGES))
    kept = mask[every.rows]
    found = index.search(query, count, allowed=Allowed(mask, int(mask.sum()), int(mask.sum())))
    assert found.rows.tolist() == every.rows[kept].tolist()[:count]
    assert found.scores.tolist() == every.scores[kept].tolist()[:count]


def test_a_megabyte_of_query(build):
    """Only the first terms of a huge query count."""
    _, reader = build()
    index = reader()
    assert rows(index, "pump " * 200_000) == [2]
    assert rows(index, "zebra " * lexical.MAX_QUERY_TERMS + "pump") == []
    assert rows(index, " " * lexical.MAX_QUERY_CHARS + "pump") == []


def test_pairs_count_in_a_long_question_without_spaces(build):
    """Rather than its single characters, which one passage has in another order."""
    asked = "".join(map(chr, range(0x4E00, 0x4E00 + lexical.MAX_QUERY_TERMS - 8)))
    _, reader = build([asked[::2] + asked[1::2], asked[:30]])
    assert rows(reader(), asked) == [1, 0]


@pytest.mark.parametrize("length", [1100, 4000])
def test_pairs_count_in_a_pasted_page_without_spaces(build, length):
    """However long it is, they are found beside the characters, and take all the room."""
    asked = "".join(map(chr, range(0x4E00, 0x4E00 + length)))
    _, reader = build([asked[:40:2] + asked[1:40:2], asked[:20]])
    assert rows(reader(), asked) == [1]


def test_repeated_terms_count_as_often_as_they_occur(build):
    """As in bm25s, saying a word twice doubles its weight."""
    _, reader = build()
    index = reader()
    once, twice = index.search("pump", 1), index.search("pump pump", 1)
    assert twice.scores.tolist() == (once.scores * 2).tolist()


VOCABULARY = ["pump", "valve", "Motor-3", "leak", "\u6c34\u6cb9", "the", "running", "E_7", "?"]
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(
    passages=st.lists(TEXTS, min_size=1, max_size=12),
    query=TEXTS,
    stemmer=st.sampled_from(["english", "none"]),
    k1=st.sampled_from([0.0, 0.9, 1.5]),
    b=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_scores_are_those_of_bm25s(tmp_path_factory, passages, query, stemmer, k1, b):
    """Each score equals, to the last bit, what bm25s itself retrieves."""
    root = tmp_path_factory.mktemp("words")
    spec = writer.write(passages, root, spec=recipe.LexicalSpec(stemmer=stemmer, k1=k1, b=b))
    found = LexicalIndex.open(bundle_of(root, spec), spec).search(query, len(passages))
    corpus = [words.terms(passage, stemmer) for passage in passages]
    expected = np.zeros(len(passages), np.float32)
    asked = [term for term in words.terms(query, stemmer) if any(term in terms for terms in corpus)]
    if asked:
        reference = bm25s.BM25(k1=k1, b=b, method="lucene")
        reference.index(corpus, show_progress=False)
        best, scores = reference.retrieve([asked], k=len(passages), show_progress=False)
        expected[best[0]] = scores[0]
    assert dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True)) == {
        row: score for row, score in enumerate(expected.tolist()) if score > 0
    }


def test_no_vocabulary(build):
    """A corpus of punctuation makes an index that finds nothing."""
    spec, reader = build(["...", "!"])
    assert spec.terms == 0
    assert rows(reader(), "anything ...") == []


def test_closed(build):
    """A closed index says so, and closing twice is harmless."""
    _, reader = build()
    index = reader()
    index.close()
    index.close()
    with pytest.raises(ClosedError, match="closed"):
        index.search("file", 1)


def test_another_way_of_splitting(build):
    """An index whose terms were made differently would find the wrong things: it is refused."""
    spec, reader = build()
    other = dataclasses.replace(spec, writer={**spec.writer, "words": "0"})
    with pytest.raises(
        CompatibilityError, match=rf"version 0, this runtime splits by version {words.VERSION}"
    ):
        reader(other)


def test_an_earlier_way_of_splitting(build):
    """Version 1 differs for scripts with signs above U+10FF alone; its indexes are still read."""
    spec, reader = build()
    index = reader(dataclasses.replace(spec, writer={**spec.writer, "words": "1"}))
    assert rows(index, "pump") == [2]


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        (lexical.OFFSETS, lambda a: a[:-1], r"terms\.offsets\.npy: expected \d+ entries; found \d+"),
        (lexical.OFFSETS, lambda a: a + 1, r"terms\.offsets\.npy: expected to run from 0 to"),
        (lexical.INDPTR, lambda a: a[:0], r"indptr\.npy: expected \d+ entries; found 0"),
        (lexical.INDPTR, lambda a: a[[0, 2, 1, *range(3, len(a))]], "expected rising entries"),
        (lexical.INDPTR, lambda a: a.astype("<i4"), "expected one dimension of int64; found 1 of int32"),
        (lexical.ROWS, lambda a: a[:-1], r"indptr\.npy: expected to run from 0 to"),
        (lexical.ROWS, lambda a: a.reshape(1, -1), "expected one dimension of int32; found 2 of int32"),
        (lexical.SCORES, lambda a: a[:-1], r"indptr\.npy: expected to run from 0 to"),
        (lexical.SCORES, lambda a: a.astype("<f8"), "expected one dimension of float32"),
        (lexical.SCORES, lambda a: a.astype(">f4"), "expected one dimension of float32"),
    ],
)
def test_files_that_do_not_fit(build, tmp_path, name, damage, problem):
    """A file of the wrong shape, type or range is named when the index is opened."""
    _, reader = build([*PASSAGES, "pump pressure"])
    path = tmp_path / "lexical" / name
    np.save(path, damage(np.load(path)))
    with pytest.raises(BundleError, match=problem):
        reader()


def test_terms_cut_short(build, tmp_path):
    """Fewer bytes of terms than the offsets speak of are refused."""
    _, reader = build()
    path = tmp_path / "lexical" / lexical.TERMS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="expected to run from 0 to"):
        reader()


def test_a_file_that_is_not_listed(build, tmp_path):
    """An index with a file missing is refused by the manifest."""
    _, reader = build()
    (tmp_path / "lexical" / lexical.ROWS).unlink()
    with pytest.raises(BundleError, match=r"does not list lexical/postings\.rows\.npy"):
        reader()


@pytest.mark.parametrize("row", [5, -6])
def test_a_posting_beyond_the_passages(build, tmp_path, row):
    """A row that no passage has is one clear error, raised by the query that meets it."""
    _, reader = build()
    path = tmp_path / "lexical" / lexical.ROWS
    np.save(path, np.full_like(np.load(path), row))
    with pytest.raises(BundleError, match="names a passage beyond the 5"):
        reader().search("file", 1)


def test_an_error_leaves_the_next_query_whole(build, tmp_path):
    """Scores of a query that met a bad posting do not show up in the next one."""
    _, reader = build()
    path = tmp_path / "lexical" / lexical.ROWS
    damaged = np.load(path)
    damaged[-1] = 5  # the last term's: "tree"
    np.save(path, damaged)
    index = reader()
    expected = index.search("removes a file", 5).scores.tolist()
    with pytest.raises(BundleError, match="names a passage beyond"):
        index.search("file tree", 1)
    assert index.search("removes a file", 5).scores.tolist() == expected


def test_threads(build):
    """Many at once: each has sums of its own."""
    _, reader = build([f"pump {'valve ' * (i % 7)} leak {i % 50}" for i in range(2000)])
    index = reader()
    queries = [f"valve {i} pump" for i in range(50)]
    expected = [index.search(query, 20).rows.tolist() for query in queries]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda query: rows(index, query, 20), queries * 10))
    assert found == expected * 10


def test_another_language(build):
    """A recipe says which; an index says by which library's version its words were cut."""
    spec, reader = build(["Die Bücher der Häuser", "Das Wetter"], stemmer="german")
    assert rows(reader(), "ein Haus") == [0]
    assert rows(reader(), "die der das") == []
    other = dataclasses.replace(spec, writer={**spec.writer, "snowball": "2.2"})
    with pytest.raises(
        CompatibilityError, match=r"Snowball 2\.2, .* pip install 'snowballstemmer==2\.2\.\*'"
    ):
        reader(other)


def test_a_query_that_grows_when_it_is_normalized(build):
    """One character may become eighteen; no more than the first terms are made."""
    _, reader = build()
    assert rows(reader(), "\ufdfa" * lexical.MAX_QUERY_CHARS) == []
