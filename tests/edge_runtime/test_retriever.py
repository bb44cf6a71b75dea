"""What an open bundle answers, and what it refuses."""

from __future__ import annotations

import gc
import itertools
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_runtime
from edge_runtime import ClosedError, Error, Hit, QueryError, Retriever
from edge_runtime.question import Mode

DOCUMENTS = 48
MODES = get_args(Mode)
QUERIES = (
    "yeast and dough",
    "chain and pedal",
    "error E-102",
    "which vaccine against fever?",
    "sail",
    "static noise",
)


@pytest.fixture(scope="module")
def retriever(bundle: Path) -> Iterator[Retriever]:
    with edge_runtime.open(bundle) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize(("query", "topic"), [("yeast and dough", "bread"), ("pedal and chain", "bicycle")])
def test_finds_what_was_asked_for(retriever: Retriever, query: str, topic: str, mode: Mode) -> None:
    """The right topic comes first, with all that its document says of itself."""
    hit = retriever.search(query, k=3, mode=mode)[0]
    assert hit.key.startswith(topic)
    assert hit.title.startswith(topic)
    assert hit.metadata == {"section": topic}
    assert hit.passage in (0, 1, 2)
    assert hit.text


def test_replays_the_golden_queries(retriever: Retriever, bundle: Path) -> None:
    """Tokens, vector and the first passage by meaning are those that the build wrote down."""
    lines = (bundle / "golden.jsonl").read_text("utf-8").splitlines()
    with closing(sqlite3.connect(bundle / "documents.sqlite")) as connection:
        texts = dict(connection.execute("SELECT row, text FROM passages"))
    for line in map(json.loads, lines):
        query = line["query"]
        assert retriever.tokenize(query) == line["tokens"]["layers2"]
        assert np.allclose(retriever.encode([query])[0], line["vector"]["layers2"], atol=1e-5)
        assert retriever.search(query, k=1, mode="dense")[0].text == texts[line["passages"]["layers2"][0]]
    assert len(lines) == 4


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
@pytest.mark.parametrize("k", [1, 2, 10, 47, 48, 49, 10**6, 10**30, np.int64(3), np.uint8(5)])
def test_gives_as_many_documents_as_there_are(retriever: Retriever, k: int, mode: Mode) -> None:
    """`k` of them, each once, up to the whole corpus."""
    keys = [hit.key for hit in retriever.search("dough", k=k, mode=mode)]
    assert len(keys) == len(set(keys)) == min(int(k), DOCUMENTS)


def test_words_alone_find_only_documents_with_one_of_them(retriever: Retriever) -> None:
    """Fewer than `k`, or none."""
    hits = retriever.search("antenna", k=DOCUMENTS, mode="lexical")
    assert {hit.metadata["section"] for hit in hits} == {"radio"}
    assert all("antenna" in (hit.text + hit.title).lower() for hit in hits)
    assert retriever.search("zyzzyva", mode="lexical") == []
    assert retriever.search("!?!", mode="lexical") == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", QUERIES)
def test_scores_never_rise_and_answers_never_change(retriever: Retriever, query: str, mode: Mode) -> None:
    """The same question, the same hits."""
    hits = retriever.search(query, k=20, mode=mode)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert retriever.search(query, k=20, mode=mode) == hits


@pytest.mark.parametrize("mode", ["dense", "lexical"])
@pytest.mark.parametrize("query", QUERIES)
def test_fewer_hits_are_the_first_of_more(retriever: Retriever, query: str, mode: Mode) -> None:
    """`k` cuts the list and changes nothing in it."""
    many = retriever.search(query, k=30, mode=mode)
    assert retriever.search(query, k=7, mode=mode) == many[:7]


def test_one_stage_gives_its_evidence_alone(retriever: Retriever) -> None:
    """Ranks from 1, and the stage's own score."""
    for rank, hit in enumerate(retriever.search("dough and yeast", k=5, mode="dense"), start=1):
        assert hit.dense == edge_runtime.Evidence(rank, hit.score, hit.score)
        assert -1 <= hit.score <= 1.0001
        assert hit.lexical is None
    for rank, hit in enumerate(retriever.search("dough and yeast", k=5, mode="lexical"), start=1):
        assert hit.lexical == edge_runtime.Evidence(rank, hit.score, hit.score)
        assert hit.dense is None


def told(evidence: edge_runtime.Evidence | None) -> tuple[int | None, float] | None:
    """Its rank and score."""
    return evidence and (evidence.rank, evidence.score)


def test_hybrid_evidence_adds_up(retriever: Retriever) -> None:
    """A hit's score is the sum of its parts; ranks and scores are those of each stage alone."""
    alone: dict[Mode, dict[str, Hit]] = {}
    modes: tuple[Mode, ...] = ("dense", "lexical")
    for mode in modes:
        alone[mode] = {hit.key: hit for hit in retriever.search("wind and rope", k=DOCUMENTS, mode=mode)}
    for hit in retriever.search("wind and rope", k=DOCUMENTS, mode="hybrid"):
        found = [evidence for evidence in (hit.dense, hit.lexical) if evidence]
        assert hit.score == sum(evidence.part for evidence in found)
        assert told(hit.dense) == told(alone["dense"][hit.key].dense)
        by_words = alone["lexical"].get(hit.key)
        assert told(hit.lexical) == told(by_words and by_words.lexical)


@pytest.mark.parametrize(
    "k",
    [0, -1, pytest.param(-(10**5000), id="huge"), True, False, 1.5, "3", None, [1], np.float64(3), np.True_],
)
def test_refuses_other_numbers(retriever: Retriever, k: Any) -> None:
    """Whole numbers from 1, and nothing that merely looks like one."""
    with pytest.raises(QueryError, match="k: expected a whole number from 1; found "):
        retriever.search("dough", k=k)


@pytest.mark.parametrize("mode", ["", "Hybrid", "bm25", None, 1, ["dense"], np.array(["dense", "lexical"])])
def test_refuses_other_modes(retriever: Retriever, mode: Any) -> None:
    """The three are named."""
    with pytest.raises(QueryError, match="mode: expected one of hybrid, dense, lexical; found "):
        retriever.search("dough", mode=mode)


@pytest.mark.parametrize("query", ["", " ", "\n\t ", "\u2003\u00a0"])
def test_refuses_blank_queries(retriever: Retriever, query: str) -> None:
    """Nothing was asked."""
    with pytest.raises(QueryError, match="query: expected some text; found none"):
        retriever.search(query)


@pytest.mark.parametrize("query", [None, 3, b"dough", ["dough"], Path("dough"), np.array("dough")])
def test_refuses_what_is_no_text(retriever: Retriever, query: Any) -> None:
    """And says what it was given; a QueryError is a ValueError too."""
    with pytest.raises(QueryError, match=f"query: expected text; found {type(query).__name__}"):
        retriever.search(query)
    with pytest.raises(ValueError, match="query"):
        retriever.search(query)
    with pytest.raises(QueryError, match=f"text: expected text; found {type(query).__name__}"):
        retriever.tokenize(query)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "query",
    [
        "dough " * 200_000,
        " " * 1_000_000 + "dough",
        "d" * 1_000_000,
        "🍞" * 1000,
        "👩‍🍳🥖",
        "pain au levain façon grand-mère",
        "酵母和面团",
        "عجينة وخميرة",
        "\u202edough\u202c",
        "dough\0yeast",
        "\0",
        "\x1b[2J\x07\x08",
        "\ud800",
        "dough \udcff yeast",
        "e\u0301" * 5000,
        "%s %n {0} \\ ' \" ; DROP TABLE passages; --",
        "?",
        "\ufeff",
        "\u200b",
    ],
    ids=lambda value: ascii(value[:12]),
)
def test_odd_queries_get_hits(retriever: Retriever, query: str, mode: Mode) -> None:
    """Whatever is text and not blank is answered."""
    hits = retriever.search(query, mode=mode)
    assert len(hits) == 10 if mode != "lexical" else len(hits) <= 10


@given(st.text(max_size=60), st.sampled_from(MODES), st.integers(1, 60))
@settings(deadline=None, max_examples=150)
def test_any_text_gets_hits_or_an_error(retriever: Retriever, query: str, mode: Mode, k: int) -> None:
    """Surrogates included; no other exception."""
    try:
        hits = retriever.search(query, k=k, mode=mode)
    except QueryError:
        assert not query.strip()
    else:
        keys = [hit.key for hit in hits]
        assert len(keys) == len(set(keys)) <= k


def test_blanks_around_a_query_do_not_count(retriever: Retriever) -> None:
    """However many."""
    assert retriever.search("\n  dough" + " " * 50_000) == retriever.search("dough")


def test_a_batch_is_the_queries_one_by_one(retriever: Retriever) -> None:
    """In order, each as if it were alone."""
    expected = [retriever.search(query, k=4, mode="dense") for query in QUERIES]
    assert retriever.search_batch(QUERIES, k=4, mode="dense") == expected
    assert retriever.search_batch(list(QUERIES)) == [retriever.search(query) for query in QUERIES]
    assert retriever.search_batch([]) == []


@pytest.mark.parametrize(
    "texts", ["dough", None, 3, {"dough"}, iter(["dough"]), b"dough", ["dough", None], ["dough", ""]]
)
def test_refuses_what_is_no_list_of_texts(retriever: Retriever, texts: Any) -> None:
    """A lone text in particular: its letters are not queries."""
    with pytest.raises(QueryError, match="expected"):
        retriever.search_batch(texts)
    with pytest.raises(QueryError, match="expected"):
        retriever.encode(texts)


def test_encodes_queries(retriever: Retriever) -> None:
    """float32 (n, ndim), unit length, a text's vector the same in any company."""
    vectors = retriever.encode(QUERIES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(QUERIES), 32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(QUERIES)), abs=1e-5)
    for query, vector in zip(QUERIES, vectors, strict=True):
        assert np.array_equal(retriever.encode([query])[0], vector)
        assert np.array_equal(retriever.encode(["loaf " * 30, query])[1], vector)
    assert retriever.encode([]).shape == (0, 32)


def test_says_what_is_open(retriever: Retriever, bundle: Path) -> None:
    """The bundle, its encoder, and what runs it."""
    info = retriever.info()
    assert (info.name, info.version, info.documents, info.passages) == ("tiny", "1.0.0", DOCUMENTS, 96)
    assert (info.encoder, info.encoders, info.ndim, info.search) == ("layers2", ("layers2",), 32, "exact")
    assert info.engine.startswith("onnxruntime ")
    manifest = (bundle / "manifest.yaml").stat().st_size
    assert info.bytes + manifest == sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())


def test_tells_the_stages_of_a_search(retriever: Retriever) -> None:
    """For measurements: each stage once, in order."""
    stages: dict[Mode, list[str]] = {}
    for mode in MODES:
        seen: list[str] = []
        retriever.search_in_laps("dough", k=3, mode=mode, lap=seen.append)
        stages[mode] = seen
    dense = ["tokenize", "encode", "dense"]
    assert stages["hybrid"] == ["lexical", *dense, "fuse", "fetch"]
    assert stages["dense"] == [*dense, "fetch"]
    assert stages["lexical"] == ["lexical", "fetch"]


def test_a_closed_retriever_says_so(bundle: Path) -> None:
    """After `close` or a `with`; closing again does nothing."""
    with edge_runtime.open(bundle) as opened:
        assert opened.search("dough")
    opened.close()
    calls: tuple[Callable[[], object], ...] = (
        lambda: opened.search("dough"),
        lambda: opened.search_batch(["dough"]),
        lambda: opened.encode(["dough"]),
        lambda: opened.tokenize("dough"),
    )
    for call in calls:
        with pytest.raises(ClosedError, match="this retriever is closed; open the bundle again"):
            call()
    assert opened.info().name == "tiny"


def test_tokenizes_what_a_search_would(retriever: Retriever) -> None:
    """Lone surrogates and blanks around a query included."""
    assert retriever.tokenize("\n dough\ud800 ") == retriever.tokenize("dough?")


def test_a_search_may_close_it(bundle_copy: Path) -> None:
    """As a signal handler does that has interrupted one: it ends with its hits, then everything is freed."""
    opened = edge_runtime.open(bundle_copy)
    expected = opened.search("dough", k=3)

    def close(stage: str) -> None:
        if stage == "lexical":
            opened.close()

    found = opened.search_in_laps("dough", k=3, mode="hybrid", lap=close)
    assert found == expected
    assert f"{bundle_copy}/lexical" not in Path("/proc/self/maps").read_text()
    with pytest.raises(ClosedError):
        opened.search("dough")


def test_threads_get_what_one_caller_gets(retriever: Retriever) -> None:
    """Sixteen at once, in every mode."""
    tasks = list(itertools.product(QUERIES, MODES)) * 6
    expected = [retriever.search(query, mode=mode) for query, mode in tasks]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda task: retriever.search(task[0], mode=task[1]), tasks))
    assert found == expected


def test_closing_under_load_waits_for_what_is_under_way(bundle: Path) -> None:
    """Every call gives its hits or a ClosedError; none crashes, none hangs."""
    opened = edge_runtime.open(bundle)
    expected = {query: opened.search(query) for query in QUERIES}
    started = threading.Barrier(17)

    def ask_until_closed(number: int) -> int:
        started.wait()
        for asked in itertools.count():
            query = QUERIES[(number + asked) % len(QUERIES)]
            try:
                assert opened.search(query) == expected[query]
            except ClosedError:
                return asked
        raise AssertionError

    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask_until_closed, number) for number in range(16)]
        started.wait()
        assert opened.search("dough")
        opened.close()
        assert all(future.result(60) >= 0 for future in asking)


def test_opening_and_closing_leaks_nothing(bundle: Path) -> None:
    """Neither file descriptors nor mappings of the bundle."""

    def held() -> tuple[int, int]:
        gc.collect()
        maps = Path("/proc/self/maps").read_text().splitlines()
        return len(list(Path("/proc/self/fd").iterdir())), sum(str(bundle) in line for line in maps)

    edge_runtime.open(bundle).close()
    before = held()
    for _ in range(20):
        with edge_runtime.open(bundle) as opened:
            opened.search("dough")
    assert held() == before


def test_a_failed_opening_leaks_nothing(bundle: Path) -> None:
    """What was opened before the failure is closed again."""

    def held() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    for _ in range(5):
        with pytest.raises(QueryError):
            edge_runtime.open(bundle, encoder="gone")
    assert held() == before


def test_a_bundle_replaced_while_open_keeps_answering(bundle_copy: Path) -> None:
    """An update renames a new directory into place; whoever has the old one open keeps it."""
    with edge_runtime.open(bundle_copy) as opened:
        expected = [opened.search(query) for query in QUERIES]
        bundle_copy.rename(bundle_copy.with_name("old"))
        bundle_copy.mkdir()
        assert [opened.search(query) for query in QUERIES] == expected
        shutil.rmtree(bundle_copy.with_name("old"))
        assert [opened.search(query) for query in QUERIES] == expected


def test_two_retrievers_of_one_bundle_do_not_meddle(bundle: Path) -> None:
    """Closing one leaves the other."""
    with edge_runtime.open(bundle) as one:
        with edge_runtime.open(bundle, verify="size") as two:
            assert one.search("dough") == two.search("dough")
        assert one.search("dough")


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", 257, 10**30])
def test_refuses_other_thread_counts(bundle: Path, threads: Any) -> None:
    """The engine would start whatever it is told to."""
    with pytest.raises(QueryError, match="threads: expected a whole number from 1 to 256; found "):
        edge_runtime.open(bundle, threads=threads)


@pytest.mark.parametrize("encoder", ["", "layers3", "../x", 5])
def test_refuses_other_encoders(bundle: Path, encoder: Any) -> None:
    """Those that there are, are named."""
    with pytest.raises(QueryError, match="encoder: bundle tiny has layers2; found "):
        edge_runtime.open(bundle, encoder=encoder)
    with edge_runtime.open(bundle, encoder="layers2") as opened:
        assert opened.info().encoder == "layers2"


def test_every_refusal_is_an_error_of_ours(retriever: Retriever) -> None:
    """One except clause is enough for a caller."""
    for call in (lambda: retriever.search(""), lambda: retriever.search("x", k=0)):
        with pytest.raises(Error):
            call()
