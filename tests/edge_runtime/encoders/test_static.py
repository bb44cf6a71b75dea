"""Tables of token vectors: the sum against plain arithmetic, and tables that are not what they should be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import edge_runtime
from edge_runtime import encoders
from edge_runtime.bundle import Bundle
from edge_runtime.encoders.static import MAX_SCALE, StaticEncoder, Tables
from edge_runtime.errors import BundleError, ClosedError, EngineError, IntegrityError
from edge_runtime.manifest import EncoderSpec
from tests.versions import list_anew

AddStatic = Callable[..., EncoderSpec]


def tables(rows: Any, scales: Any, bigrams: Any = ()) -> Tables:
    """Small tables, written out."""
    table = np.array(rows, np.int8)
    keys = np.array(bigrams, np.int64)
    return Tables(table, np.array(scales, np.float32), keys, len(table) - len(keys))


def test_a_sum_by_hand() -> None:
    """Two tokens and their bigram: (10, 0) / 10 + (0, 20) / 20 + (3, 0), over its length."""
    encoder = StaticEncoder(tables([[10, 0], [0, 20], [3, 0]], [0.1, 0.05, 1.0], [1]), "t")
    assert encoder.encode([0, 1]).tolist() == pytest.approx([4 / 17**0.5, 1 / 17**0.5])
    assert encoder.encode([1, 0]).tolist() == pytest.approx([0.5**0.5, 0.5**0.5])  # another pair: no bigram
    assert encoder.encode([1]).tolist() == [0, 1]


def test_a_bigram_counts_as_often_as_it_occurs() -> None:
    """So do tokens, and pairs overlap: 0 0 0 has the pair 0 0 twice."""
    encoder = StaticEncoder(tables([[1, 0], [0, 1]], [1.0, 1.0], [0]), "t")
    assert encoder.encode([0, 0, 0]).tolist() == pytest.approx([3 / 13**0.5, 2 / 13**0.5])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tables, list[int]]:
    """Any small table, and a query to it."""
    vocabulary, ndim = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    bigrams = sorted(draw(st.sets(st.integers(0, vocabulary**2 - 1), max_size=8)))
    rows = vocabulary + len(bigrams)
    components = st.lists(st.integers(-128, 127), min_size=ndim, max_size=ndim)
    table = draw(st.lists(components, min_size=rows, max_size=rows))
    scales = draw(st.lists(st.floats(-2, 2, width=32), min_size=rows, max_size=rows))
    token_ids = draw(st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=12))
    return tables(table, scales, bigrams), token_ids


def plain(made: Tables, token_ids: list[int]) -> tuple[list[float], float]:
    """The sum in Python's own floats, and the sum of magnitudes, which bounds its rounding errors."""
    keys = made.bigrams.tolist()
    pairs = [left * made.vocabulary + right for left, right in pairwise(token_ids)]
    rows = token_ids + [made.vocabulary + keys.index(pair) for pair in pairs if pair in keys]
    terms = [[int(x) * float(made.scales[row]) for x in made.table[row]] for row in rows]
    return [sum(column) for column in zip(*terms, strict=True)], sum(abs(x) for term in terms for x in term)


@given(cases())
@settings(deadline=None, max_examples=200)
def test_it_is_the_normalised_sum(case: tuple[Tables, list[int]]) -> None:
    """Whatever the table, the bigrams and the query."""
    made, token_ids = case
    total, magnitude = plain(made, token_ids)
    length = sum(x * x for x in total) ** 0.5
    assume(length > 1e-3 * magnitude and length > 1e-9)
    vector = StaticEncoder(made, "t").encode(token_ids)
    assert vector.dtype == np.float32
    assert np.allclose(vector, np.array(total) / length, atol=1e-3)
    assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


@given(cases(), st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_any_ids_give_a_unit_vector_or_an_error(case: tuple[Tables, list[int]], others: list[int]) -> None:
    """Ids of another tokenizer, however large."""
    made, token_ids = case
    with contextlib.suppress(EngineError):
        vector = StaticEncoder(made, "t").encode(token_ids + others)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.fixture
def small() -> StaticEncoder:
    return StaticEncoder(tables([[1, 2], [-1, -2], [0, 0]], [1.0, 1.0, 1.0]), "bundle/encoders/static")


@pytest.mark.parametrize(
    ("token_ids", "problem"),
    [
        ([], "no tokens to encode; expected at least one"),
        ([0, 3], "token 3 is beyond the table of 3 tokens; the tokenizer is another encoder's; rebuild"),
        ([0, -1], "token -1 is beyond the table of 3 tokens"),
        ([2**80], "token 1208925819614629174706176 is beyond the table of 3 tokens"),
        ([2], "the rows of 1 tokens sum to zero, which has no direction; ask in other words"),
        ([0, 1], "the rows of 2 tokens sum to zero"),
    ],
)
def test_ids_that_have_no_vector(small: StaticEncoder, token_ids: list[int], problem: str) -> None:
    """One error, which names the encoder."""
    with pytest.raises(EngineError) as caught:
        small.encode(token_ids)
    assert str(caught.value).startswith(f"bundle/encoders/static: {problem}")


def test_the_largest_scales_do_not_overflow() -> None:
    """A text as long as any encoder takes, every component at its limit."""
    encoder = StaticEncoder(tables([[127] * 768], [MAX_SCALE]), "t")
    assert np.allclose(encoder.encode([0] * 100_000), 768**-0.5)


def test_vectors_are_the_callers_own(small: StaticEncoder) -> None:
    """The next call does not write over the last one's result, nor does a caller over the table."""
    first = small.encode([0])
    kept = first.copy()
    small.encode([1])
    assert np.array_equal(first, kept)
    first[:] = 9
    assert np.array_equal(small.encode([0]), kept)


def test_closed(small: StaticEncoder) -> None:
    """It lets go of the files, and says so when asked again."""
    small.close()
    small.close()
    with pytest.raises(ClosedError, match="the encoder has been closed; open the bundle again"):
        small.encode([0])


def test_says_what_runs_it(static_bundle: Path) -> None:
    """The same before and after it is loaded."""
    with Opened(static_bundle) as opened:
        spec = opened.manifest.encoders[0]
        assert encoders.load(opened, spec).engine == encoders.engine(spec) == f"numpy {np.__version__}"


class Opened:
    """An open bundle for the length of a with statement."""

    def __init__(self, path: Path) -> None:
        self._opened = Bundle.open(path)

    def __enter__(self) -> Bundle:
        return self._opened

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def test_the_files_are_mapped_not_copied(static_bundle: Path) -> None:
    """All that it holds are views of the bundle's own mappings."""
    with Opened(static_bundle) as opened:
        spec = opened.manifest.encoders[0]
        loaded = StaticEncoder.load(opened, spec)
        held = loaded._tables
        assert held is not None
        arrays: list[NDArray[Any]] = [held.table, held.scales, held.bigrams]
        for array, member in zip(arrays, spec.members, strict=True):
            assert not array.flags.owndata
            assert not array.flags.writeable
            assert np.shares_memory(array, np.frombuffer(opened.map(member), np.uint8))
        del array, arrays, held
        loaded.close()


def test_many_threads_share_one_encoder(static_bundle: Path) -> None:
    """Each gets what it would get alone."""
    with Opened(static_bundle) as opened:
        loaded = encoders.load(opened, opened.manifest.encoders[0])
        texts = [[2, *range(70, 70 + n), 3] for n in range(1, 17)]
        expected = [loaded.encode(ids) for ids in texts]
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(loaded.encode, texts * 4))
        assert all(np.array_equal(a, b) for a, b in zip(found, expected * 4, strict=True))
        loaded.close()


def test_answers_questions(static_bundle: Path) -> None:
    """A whole search, by meaning and by both, with no other engine."""
    with edge_runtime.open(static_bundle) as retriever:
        assert retriever.info().encoder == "static"
        assert retriever.info().engine == f"numpy {np.__version__}"
        assert retriever.encode(["yeast and dough"]).shape == (1, retriever.info().ndim)
        assert len(retriever.search("yeast and dough", k=3, mode="dense")) == 3
        found = retriever.search("yeast and dough", k=20)
        assert any(hit.dense for hit in found)
        assert any(hit.lexical for hit in found)


ROWS, BIGRAMS, NDIM = 300, 20, 32


def sound() -> dict[str, NDArray[Any]]:
    chance = np.random.default_rng(1)
    return {
        "table.npy": chance.integers(-127, 128, (ROWS, NDIM)).astype(np.int8),
        "scales.npy": np.full(ROWS, 0.01, np.float32),
        "bigrams.npy": np.arange(BIGRAMS, dtype=np.int64),
    }


def spoiled(name: str, at: int, value: float) -> NDArray[Any]:
    array = sound()[name]
    array[at] = value
    return array


FAULTS: list[tuple[str, NDArray[Any], str]] = [
    ("table.npy", np.ones(ROWS, np.int8), r"table.npy: expected \|i1 in 2 dimensions; found \|i1 in 1; reb"),
    ("table.npy", np.ones((ROWS, NDIM), np.uint8), r"table.npy: expected \|i1 in 2 dimensions; found \|u1"),
    ("table.npy", np.ones((ROWS, NDIM), np.float32), r"table.npy: expected \|i1 in 2 dimensions; found <f4"),
    (
        "table.npy",
        np.ones((ROWS, NDIM - 1), np.int8),
        "table.npy: rows of 31 components; the manifest says",
    ),
    ("table.npy", np.ones((NDIM, ROWS), np.int8).T, "table.npy: not a plain .npy array"),
    ("table.npy", np.ones((BIGRAMS, NDIM), np.int8), "scales.npy: 300 scales for 20 rows; rebuild"),
    ("scales.npy", np.ones(ROWS, np.float64), "scales.npy: expected <f4 in 1 dimensions; found <f8 in 1"),
    (
        "scales.npy",
        np.ones((ROWS, 1), np.float32),
        "scales.npy: expected <f4 in 1 dimensions; found <f4",
    ),
    ("scales.npy", np.ones(ROWS - 1, np.float32), "scales.npy: 299 scales for 300 rows"),
    ("scales.npy", spoiled("scales.npy", 7, np.nan), "scales.npy: a scale is not a number of at most 1e"),
    ("scales.npy", spoiled("scales.npy", 7, -np.inf), "scales.npy: a scale is not a number of at most 1e"),
    ("scales.npy", spoiled("scales.npy", 7, 2e6), "scales.npy: a scale is not a number of at most 1e"),
    (
        "bigrams.npy",
        np.arange(BIGRAMS, dtype=np.int32),
        "bigrams.npy: expected <i8 in 1 .*; found <i4",
    ),
    ("bigrams.npy", np.arange(BIGRAMS, dtype=">i8"), "bigrams.npy: expected <i8 in 1 dimensions; found >i8"),
    ("bigrams.npy", spoiled("bigrams.npy", 3, 99), "bigrams.npy: expected strictly rising keys; found one"),
    ("bigrams.npy", spoiled("bigrams.npy", 3, 2), "bigrams.npy: expected strictly rising keys; found one"),
    (
        "bigrams.npy",
        spoiled("bigrams.npy", 0, -1),
        "bigrams.npy: expected keys of a vocabulary of 280; fou",
    ),
    ("bigrams.npy", spoiled("bigrams.npy", -1, 280**2), "bigrams.npy: expected keys of .* found 0 to 78400"),
    ("bigrams.npy", np.arange(ROWS, dtype=np.int64), "bigrams.npy: 300 bigrams in a table of 300 rows; e"),
]


@pytest.mark.parametrize(("name", "array", "problem"), FAULTS, ids=[problem for *_, problem in FAULTS])
def test_other_tables_are_refused(
    bundle_copy: Path, add_static: AddStatic, name: str, array: NDArray[Any], problem: str
) -> None:
    """As they open, by the file's name; the hashes are right, for whoever made them made the manifest too."""
    spec = add_static(bundle_copy, sound() | {name: array})
    with Opened(bundle_copy) as opened, pytest.raises(BundleError, match=problem) as caught:
        encoders.load(opened, spec)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("rebuild the bundle")


def test_no_bigrams_at_all(bundle_copy: Path, add_static: AddStatic) -> None:
    """A table of tokens alone is sound."""
    spec = add_static(bundle_copy, sound() | {"bigrams.npy": np.empty(0, np.int64)})
    with Opened(bundle_copy) as opened:
        loaded = encoders.load(opened, spec)
        assert loaded.encode([ROWS - 1, ROWS - 1]).shape == (NDIM,)
        loaded.close()


@pytest.mark.parametrize("name", ["table.npy", "scales.npy", "bigrams.npy"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.999])
def test_files_cut_short_are_refused(
    bundle_copy: Path, add_static: AddStatic, name: str, share: float
) -> None:
    """Even with the hash of what is left."""
    spec = add_static(bundle_copy, sound())
    file = bundle_copy / spec.path / name
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(IntegrityError, match=f"{spec.path}/{name}: .* bytes; expected"):
        Bundle.open(bundle_copy, verify="size")
    list_anew(bundle_copy)
    with Opened(bundle_copy) as opened, pytest.raises(BundleError, match=f"{name}: not an? "):
        encoders.load(opened, spec)


def test_a_changed_byte_is_found(bundle_copy: Path, add_static: AddStatic) -> None:
    """Each of the three files has its own hash."""
    spec = add_static(bundle_copy)
    for member in spec.members:
        data = (bundle_copy / member).read_bytes()
        (bundle_copy / member).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(IntegrityError, match=f"{member}: sha256"):
            edge_runtime.open(bundle_copy, encoder="static")
        (bundle_copy / member).write_bytes(data)
    edge_runtime.open(bundle_copy, encoder="static").close()


def test_a_tokenizer_of_more_tokens_than_the_table_is_one_error(
    bundle_copy: Path, add_static: AddStatic
) -> None:
    """Found when such a token is asked for."""
    add_static(bundle_copy, sound() | {"table.npy": np.ones((BIGRAMS + 9, NDIM), np.int8),
                                       "scales.npy": np.ones(BIGRAMS + 9, np.float32)})  # fmt: skip
    with edge_runtime.open(bundle_copy, encoder="static") as retriever:
        with pytest.raises(EngineError, match="is beyond the table of 9 tokens"):
            retriever.search("yeast and dough")
        assert retriever.search("yeast and dough", mode="lexical")
