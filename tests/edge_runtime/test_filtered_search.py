"""Filtered searches of a whole bundle against the unfiltered ranking with the other documents taken out."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge_runtime
from build_tools import fields
from edge_runtime import ClosedError, Hit, QueryError, Retriever
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FieldsSpec, FileEntry
from edge_runtime.question import Mode

DOCUMENTS = 48
QUERIES = ("yeast and dough", "chain and pedal of the wheel", "error E-102 means that water is low", "static")

wheres = st.one_of(
    st.builds(lambda low: {"number": {"gte": low}}, st.integers(0, DOCUMENTS)),
    st.builds(lambda some: {"number": {"in": some}}, st.lists(st.integers(0, DOCUMENTS), max_size=5)),
    st.builds(lambda rest: {"third": rest}, st.integers(0, 3)),
    st.builds(lambda tag: {"tags": tag, "number": {"lt": 30}}, st.sampled_from("abc")),
    st.builds(lambda topic: {"not": {"section": topic}}, st.sampled_from(["bread", "radio", "none"])),
    st.just({}),
)  # fmt: skip


def about(number: int, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the tiny corpus does not say of its documents."""
    return {**metadata, "number": number, "third": number % 3, "tags": ["a", "b"][: number % 3]}


def _refitted(bundle: Path, folder: Path, *, search: Any) -> Path:
    """The tiny bundle with more metadata, of which some is indexed."""
    copy = Path(shutil.copytree(bundle, folder / "bundle"))
    with closing(sqlite3.connect(copy / "documents.sqlite")) as connection:
        for number, text in connection.execute("SELECT id, metadata FROM documents").fetchall():
            changed = json.dumps(about(number, json.loads(text)))
            connection.execute("UPDATE documents SET metadata = ? WHERE id = ?", (changed, number))
        connection.commit()
    fields.write(copy, ["number", "tags"])
    manifest = manifests.read(copy / manifests.FILENAME)
    changed_files = ("documents.sqlite", fields.FILENAME)
    entries = [FileEntry(name, (copy / name).stat().st_size, sha256(copy / name)) for name in changed_files]
    kept = (entry for entry in manifest.files if entry.path not in changed_files)
    spec = FieldsSpec(fields.FILENAME, ("number", "tags"))
    changed_manifest = replace(
        manifest,
        documents=replace(manifest.documents, fields=spec),
        index=replace(manifest.index, search=search),
        files=(*kept, *entries),
    )
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed_manifest))
    return copy


@pytest.fixture(scope="module", params=["exact", "hnsw"])
def retriever(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Retriever]:
    folder = tmp_path_factory.mktemp("filtered")
    with edge_runtime.open(_refitted(bundle, folder, search=request.param)) as opened:
        yield opened


def named(hits: list[Hit]) -> set[tuple[str, int]]:
    """Documents and passages."""
    return {(hit.key, hit.passage) for hit in hits}


def allowed(hits: list[Hit], where: Mapping[str, Any]) -> list[Hit]:
    """Those hits that a filter of the kinds above allows."""

    def fits(metadata: Mapping[str, Any]) -> bool:
        number, asked = metadata["number"], where.get("number", {})
        return (
            number >= asked.get("gte", number)
            and number < asked.get("lt", number + 1)
            and number in asked.get("in", [number])
            and where.get("third", metadata["third"]) == metadata["third"]
            and ("tags" not in where or where["tags"] in metadata["tags"])
            and ("not" not in where or where["not"]["section"] != metadata["section"])
        )

    return [hit for hit in hits if fits(hit.metadata)]


@pytest.mark.parametrize("mode", ["dense", "lexical"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=wheres, k=st.integers(1, 50), query=st.sampled_from(QUERIES))
def test_as_the_ranking_of_the_allowed(
    retriever: Retriever, mode: Mode, where: Mapping[str, Any], k: int, query: str
) -> None:
    """As many as there are, up to `k`, with the scores that they have without a filter, in that order."""
    expected = allowed(retriever.search(query, k=DOCUMENTS, mode=mode), where)
    found = retriever.search(query, k=k, mode=mode, where=where)
    assert len(found) == min(k, len(expected))
    scores = [hit.score for hit in expected]
    assert [hit.score for hit in found] == pytest.approx(scores[: len(found)], abs=1e-5)
    # Equals come in any order, and one may cut another off.
    last = min((hit.score for hit in found), default=0)
    assert {(hit.key, hit.passage) for hit in expected if hit.score > last + 1e-5} <= named(found)
    assert named(found) <= named(expected)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=wheres, k=st.integers(1, 50), query=st.sampled_from(QUERIES))
def test_hybrid_fuses_both_filtered_lists(
    retriever: Retriever, where: Mapping[str, Any], k: int, query: str
) -> None:
    """`k` where there are, and each hit's ranks are its places among the allowed."""
    found = retriever.search(query, k=k, where=where)
    assert len(found) == min(k, len(allowed(retriever.search(query, k=DOCUMENTS, mode="dense"), where)))
    assert len(allowed(found, where)) == len(found)
    words = retriever.search(query, k=DOCUMENTS, mode="lexical", where=where)
    meaning = retriever.search(query, k=DOCUMENTS, mode="dense", where=where)
    places = ({hit.key: told(hit.lexical) for hit in words}, {hit.key: told(hit.dense) for hit in meaning})
    for hit in found:
        assert told(hit.lexical) == places[0].get(hit.key)
        assert told(hit.dense) == places[1][hit.key]


def told(evidence: edge_runtime.Evidence | None) -> tuple[int | None, float] | None:
    """Its rank and score."""
    return evidence and (evidence.rank, evidence.score)


def test_a_batch(retriever: Retriever) -> None:
    """One filter for all."""
    where = {"tags": "b"}
    assert retriever.search_batch(QUERIES, k=3, where=where) == [
        retriever.search(query, k=3, where=where) for query in QUERIES
    ]
    assert retriever.search_batch([], where=where) == []


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_nothing_allowed(retriever: Retriever, mode: Mode) -> None:
    """No hits, and no error."""
    assert retriever.search("dough", mode=mode, where={"number": -1}) == []
    assert retriever.search("dough", mode=mode, where={"never": {"exists": True}}) == []


def test_no_filter_is_no_filter(retriever: Retriever) -> None:
    """None and an empty one."""
    assert retriever.search("dough", where={}) == retriever.search("dough", where=None)
    assert retriever.search("dough", where={}) == retriever.search("dough")


def test_threads_with_many_filters(retriever: Retriever) -> None:
    """More than are remembered, from many threads: the answers of one."""
    asked = [{"number": {"gte": number % 24}, "third": number % 3} for number in range(96)]
    expected = [retriever.search("water", k=4, where=where) for where in asked]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda where: retriever.search("water", k=4, where=where), asked)) == expected


@pytest.mark.parametrize("where", ["section", ["section"], 5, {"number": {"gte": []}}, {1: 2}])
def test_what_is_no_filter(retriever: Retriever, where: Any) -> None:
    """One clear error, from either call."""
    with pytest.raises(QueryError, match=r"^where"):
        retriever.search("dough", where=where)
    with pytest.raises(QueryError, match=r"^where"):
        retriever.search_batch(["dough"], where=where)


def test_a_bundle_without_an_index_of_fields(bundle: Path) -> None:
    """Every bundle of before: filters scan."""
    with edge_runtime.open(bundle) as opened:
        hits = opened.search("water", k=20, where={"section": {"in": ["garden", "bread"]}})
        assert {hit.metadata["section"] for hit in hits} == {"garden", "bread"}
        assert len(hits) == 16


def test_closed(bundle: Path) -> None:
    """As without a filter."""
    opened = edge_runtime.open(bundle)
    opened.search("water", where={"section": "bread"})
    opened.close()
    with pytest.raises(ClosedError, match="this retriever is closed"):
        opened.search("water", where={"section": "bread"})
