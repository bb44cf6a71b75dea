"""Documents like a document, against a comparison of all stored vectors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import edge_runtime
from edge_runtime import ClosedError, Evidence, QueryError, Retriever
from edge_runtime import manifest as manifests

TOPICS = ("bread", "bicycle", "garden", "sailing", "radio", "clinic")
KEYS = [f"{topic}-{number}" for topic in TOPICS for number in range(8)]


@pytest.fixture(scope="module", params=["exact", "hnsw"])
def retriever(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Retriever]:
    """The tiny bundle, its index searched either way."""
    copy = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("similar") / "bundle"))
    manifest = manifests.read(copy / manifests.FILENAME)
    changed = replace(manifest, index=replace(manifest.index, search=request.param))
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    with edge_runtime.open(copy) as opened:
        yield opened


@pytest.fixture(scope="module")
def cosines(bundle: Path) -> NDArray[np.float64]:
    """Of every two documents' most similar passages, (documents, documents)."""
    from usearch.index import Index

    index: Any = Index.restore(str(bundle / "dense.usearch"))
    vectors = np.stack(index.get(np.arange(len(index)))).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    owners = np.load(bundle / "documents.npy")
    every = vectors @ vectors.T
    return np.array([[every[owners == a][:, owners == b].max() for b in range(48)] for a in range(48)])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(KEYS),
    k=st.integers(1, 60),
    topics=st.none() | st.lists(st.sampled_from(TOPICS), max_size=4, unique=True),
)
def test_as_a_comparison_of_all(
    retriever: Retriever, cosines: NDArray[np.float64], key: str, k: int, topics: list[str] | None
) -> None:
    """The best pair of passages decides; without the document itself and what a filter leaves out."""
    where = None if topics is None else {"section": {"in": topics}}
    others = [one for one in KEYS if one != key and (topics is None or one.split("-")[0] in topics)]
    expected = {one: cosines[KEYS.index(key), KEYS.index(one)] for one in others}
    hits = retriever.similar(key, k=k, where=where)
    found = {hit.key: hit.score for hit in hits}
    assert len(hits) == len(found) == min(k, len(others))
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.values(), reverse=True)[:k], abs=1e-5)
    assert found == pytest.approx({one: expected[one] for one in found}, abs=1e-5)


def test_a_hit_says_what_it_is(retriever: Retriever) -> None:
    """By meaning alone, in order, with the texts of its own document."""
    hits = retriever.similar("bread-0", k=5)
    for rank, hit in enumerate(hits, start=1):
        assert hit.dense == Evidence(rank, hit.score, hit.score)
        assert hit.lexical is None
        assert hit.metadata == {"section": hit.key.split("-")[0]}
        assert hit.text


@pytest.mark.parametrize("key", ["", "bread", "bread-8", "BREAD-0", " bread-0", "\0", "\ud800", "k" * 10**6])
def test_an_unknown_key(retriever: Retriever, key: str) -> None:
    """Is an error: no document is like one that is not there."""
    with pytest.raises(QueryError, match=r"^key: no document has the key '.*; a hit's `key` is one$"):
        retriever.similar(key)


@pytest.mark.parametrize("key", [None, 3, b"bread-0", ["bread-0"], True])
def test_what_is_no_key(retriever: Retriever, key: Any) -> None:
    """Says what it was given."""
    with pytest.raises(QueryError, match=f"key: expected text; found {type(key).__name__}"):
        retriever.similar(key)


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "3", None])
def test_other_numbers(retriever: Retriever, k: Any) -> None:
    """As for a search."""
    with pytest.raises(QueryError, match="k: expected a whole number from 1"):
        retriever.similar("bread-0", k=k)


def test_what_is_no_filter(retriever: Retriever) -> None:
    """As for a search; and one that allows nothing, or the document alone, gives nothing."""
    bad: Any = "section"
    with pytest.raises(QueryError, match=r"^where"):
        retriever.similar("bread-0", where=bad)
    assert retriever.similar("bread-0", where={"section": "none"}) == []


def test_threads(retriever: Retriever) -> None:
    """Get what one caller gets."""
    expected = [retriever.similar(key, k=4) for key in KEYS]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda key: retriever.similar(key, k=4), KEYS)) == expected


def test_pair_score(retriever: Retriever) -> None:
    """The cosine of the query vectors, the same either way round; equal texts are as alike as can be."""
    one, two = retriever.encode(["yeast and dough", "flour"])
    score = retriever.pair_score("yeast and dough", "flour")
    assert score == pytest.approx(float(one @ two), abs=1e-6)
    assert retriever.pair_score("flour", "yeast and dough") == pytest.approx(score, abs=1e-6)
    assert retriever.pair_score(" flour", "flour ") == pytest.approx(1, abs=1e-5)
    assert retriever.pair_score("flour", "flour") <= 1


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        ("", "x", "a: expected some text"),
        ("x", " ", "b: expected some text"),
        ("x", 3, "b: expected text; fou"),
    ],
)
def test_pair_score_names_the_argument(retriever: Retriever, a: Any, b: Any, problem: str) -> None:
    """Which of the two it was."""
    with pytest.raises(QueryError, match=f"^{problem}"):
        retriever.pair_score(a, b)


def test_closed(bundle: Path) -> None:
    """All of them say so."""
    with edge_runtime.open(bundle) as opened:
        under_way = opened.duplicates(0.5)
        assert next(under_way)
    with pytest.raises(ClosedError):
        list(under_way)
    for call in (
        lambda: opened.similar("bread-0"),
        lambda: opened.duplicates(),
        lambda: opened.pair_score("a", "b"),
        lambda: opened.snippet("a", "b"),
    ):
        with pytest.raises(ClosedError, match="this retriever is closed; open the bundle again"):
            call()
