"""Folders in BEIR layout: documents, queries and judgements."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.corpus import beir
from build_tools.corpus.beir import Judgement, Query
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord
from build_tools.errors import CorpusError, DataError
from build_tools.recipe import CorpusSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an empty qrels/."""
    (tmp_path / "qrels").mkdir()
    return tmp_path


def documents(folder: Path, content: str) -> list[Document | BadRecord]:
    (folder / "corpus.jsonl").write_text(content, encoding="utf-8")
    return list(beir.documents(CorpusSpec("beir", path=str(folder))))


def test_documents(folder: Path) -> None:
    """Keys, titles, texts and metadata; a title alone becomes the text."""
    found = documents(
        folder,
        '{"_id": "1", "title": "T", "text": "x", "metadata": {"url": "u"}}\n'
        '{"_id": 2, "title": "Only", "text": " "}\n'
        '{"_id": "3", "title": null, "text": "y", "metadata": null}\n',
    )
    path = folder / "corpus.jsonl"
    assert found == [
        Document("1", "T", "x", {"url": "u"}, f"{path}:1"),
        Document("2", "", "Only", {}, f"{path}:2"),
        Document("3", "", "y", {}, f"{path}:3"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"title": "T", "text": "x"}', "missing field '_id'"),
        ('{"_id": "1"}', "missing field 'text'"),
        ('{"_id": "1", "text": "x", "metadata": []}', None),
        ('{"_id": "1", "text": "x", "metadata": [1]}', "wrong type in field 'metadata'"),
        ("{", "malformed JSON"),
    ],
)
def test_bad_documents(folder: Path, line: str, reason: str | None) -> None:
    """What is wrong with a line of corpus.jsonl."""
    found = documents(folder, line)[0]
    assert (found.reason if isinstance(found, BadRecord) else None) == reason


def test_folder_without_corpus(folder: Path) -> None:
    """A folder in another layout is told what the layout is."""
    with pytest.raises(CorpusError, match=r"corpus\.jsonl: no such file; a BEIR folder holds"):
        list(beir.documents(CorpusSpec("beir", path=str(folder))))


def test_queries(folder: Path) -> None:
    """Queries in file order, ids as text."""
    (folder / "queries.jsonl").write_text('{"_id": 1, "text": "a"}\n{"_id": "q2", "text": "b"}\n')
    assert beir.read_queries(folder) == (Query("1", "a"), Query("q2", "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "expected at least one query"),
        ("{", r"queries\.jsonl:1: malformed JSON"),
        ('{"_id": "1"}', r"queries\.jsonl:1: missing field 'text'"),
        ('{"_id": "1", "text": " "}', "found a blank one"),
        ('{"_id": "1", "text": "\\ud800"}', "half of a surrogate pair"),
        ('{"_id": "1", "text": "a"}\n{"_id": 1, "text": "b"}', r"queries\.jsonl:2: .*'1' again"),
    ],
)
def test_bad_queries(folder: Path, content: str | None, message: str) -> None:
    """Each problem is a DataError with its line."""
    if content is not None:
        (folder / "queries.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        beir.read_queries(folder)


@pytest.mark.parametrize(
    "header", ["query-id\tcorpus-id\tscore\n", "", "\ufeffquery-id\tcorpus-id\tscore\r\n"]
)
def test_qrels(folder: Path, header: str) -> None:
    """Judgements with or without a header row; repeated lines count once, blank ones not at all."""
    (folder / "qrels" / "test.tsv").write_text(header + "q\td\t2\nq\te\t0\n\nq\td\t2\n", encoding="utf-8")
    assert beir.read_qrels(folder, "test") == (Judgement("q", "d", 2), Judgement("q", "e", 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "q\td\n",
            r"test\.tsv:1: expected query-id, corpus-id and score, separated by tabs; found 2 columns",
        ),
        ("q d 1\n", "found 1 columns"),
        ("q\t0\td\t1\n", "found 4 columns"),
        (
            "query-id\tcorpus-id\tscore\nq\td\t1.5\n",
            r"test\.tsv:2: expected a whole number as score; found '1.5'",
        ),
        ("q\td\thigh\n", "found 'high'"),
        (
            "q\td\t1\nq\te\t2000000000\n",
            r"test\.tsv:2: expected a score within ±10,000; found 2000000000; is that its column",
        ),
        ("q\td\t-10001\n", r"test\.tsv:1: expected a score within ±10,000; found -10001"),
        (f"q\td\t{10**30}\n", r"test\.tsv:1: expected .*; found a number beyond 64 bits"),
        ("q\td\t1\nq\td\t2\n", r"test\.tsv:2: expected one score a pair; found 2"),
        ("query-id\tcorpus-id\tscore\n", "expected at least one judgement"),
    ],
)
def test_bad_qrels(folder: Path, content: str, message: str) -> None:
    """Each problem is a DataError with its line."""
    (folder / "qrels" / "test.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        beir.read_qrels(folder, "test")


def test_unknown_split(folder: Path) -> None:
    """The error lists the splits that are there."""
    with pytest.raises(DataError, match=r"no \.tsv file there"):
        beir.read_qrels(folder, "test")
    (folder / "qrels" / "dev.tsv").touch()
    (folder / "qrels" / "train.tsv").touch()
    with pytest.raises(DataError, match=r"no split '\.\./test'; it has dev, train"):
        beir.read_qrels(folder, "../test")


def test_queries_of_a_split(folder: Path) -> None:
    """Some distributions keep a split's queries in a file of their own; without one, all are in one file."""
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "all"}', encoding="utf-8")
    (folder / "queries-train.jsonl").write_text('{"_id": "2", "text": "train"}', encoding="utf-8")
    assert beir.read_queries(folder) == (Query("1", "all"),)
    assert beir.read_queries(folder, "test") == (Query("1", "all"),)
    assert beir.read_queries(folder, "train") == (Query("2", "train"),)
