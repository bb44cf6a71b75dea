"""Labelled pairs of three sources, and the queries of the evaluation that never get in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_tools import documents
from build_tools.corpus import chunker
from build_tools.corpus.document import Document
from build_tools.distill.labels import LabelledPair, Labels, evaluation_queries, read_labels
from build_tools.errors import DataError
from build_tools.recipe import ChunkSpec, CorpusSpec, EvaluationSpec
from build_tools.recipe_training import LabelsSpec

LONG = " ".join(f"Sentence {n} of the long text tells of thing {n}." for n in range(20))
DOCUMENTS = [
    Document("yeast", "What is yeast?", "Yeast makes dough rise.\nIt is a fungus."),
    Document("long", "A long text", LONG),
    Document("7", "", "No."),
]
EVALUATION = EvaluationSpec()
JSONL = CorpusSpec("jsonl", path="unused.jsonl")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The built documents; the long one has several passages that overlap."""
    directory = tmp_path / "built"
    directory.mkdir()
    chunks = ChunkSpec(max_tokens=40, overlap_tokens=12)
    passages = [
        passage
        for document in DOCUMENTS
        for passage in chunker.chunk(document, chunks, lambda texts: [len(text.split()) for text in texts])
    ]
    assert documents.write(passages, directory).passages > 4
    return directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BEIR folder with a test and a train split."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = {"t1": "what is yeast", "1": "which fungus", "2": "what  is Yeast?", "3": "what is long"}
    lines = [json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items()]
    (folder / "queries.jsonl").write_text("".join(lines), "utf-8")
    split(folder, "test", "t1\tyeast\t1")
    split(folder, "train", "1\tyeast\t2", "1\tlong\t0", "2\tyeast\t1", "3\tlong\t1", "3\tgone\t1", "4\t7\t1")
    return folder


def split(folder: Path, name: str, *lines: str) -> None:
    """Writes qrels."""
    (folder / "qrels" / f"{name}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]), "utf-8")


def beir(folder: Path) -> CorpusSpec:
    """A corpus of that folder."""
    return CorpusSpec("beir", path=str(folder))


def table(tmp_path: Path, content: str, name: str = "labels.csv") -> LabelsSpec:
    """Labels in a csv file."""
    path = tmp_path / name
    path.write_text(content, "utf-8")
    return LabelsSpec("csv", path=str(path))


def test_qrels(folder: Path, built: Path) -> None:
    """Relevant pairs of known documents and queries; what says the same as a test query is left out."""
    labels = read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)
    assert labels == Labels(
        pairs=(LabelledPair("which fungus", "yeast", 2), LabelledPair("what is long", "long", 1)),
        barred=1,
        unknown=2,
    )
    assert labels.queries == ("which fungus", "what is long")


def test_queries_of_a_split_in_a_file_of_their_own(folder: Path, built: Path) -> None:
    """queries-train.jsonl stands in for queries.jsonl."""
    (folder / "queries-train.jsonl").write_text('{"_id": "4", "text": "short answer"}\n', "utf-8")
    labels = read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)
    assert labels.pairs == (LabelledPair("short answer", "7", 1),)
    assert labels.unknown == 4


def test_the_split_of_the_evaluation(folder: Path, built: Path) -> None:
    """Nothing trains on it, under whatever path it is named."""
    for path in (None, str(folder), str(folder / ".." / "beir")):
        with pytest.raises(DataError, match=r"queries\.labels\.split test: the bundle is measured on this"):
            read_labels(LabelsSpec(path=path, split="test"), beir(folder), built, evaluation=EVALUATION)


def test_splits_that_share_queries(folder: Path, built: Path) -> None:
    """The error counts them and names the first."""
    split(folder, "train", "1\tyeast\t1", "t1\tlong\t1", "t1\tyeast\t1")
    with pytest.raises(DataError, match=r"labels\.split train: .* \(test\); found 1, the first is 't1'"):
        read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)


def test_a_folder_of_its_own(folder: Path, built: Path) -> None:
    """A corpus of another kind may take its labels from a BEIR folder; there is no evaluation to spoil."""
    labels = read_labels(LabelsSpec(path=str(folder), split="test"), JSONL, built, evaluation=EVALUATION)
    assert labels == Labels((LabelledPair("what is yeast", "yeast", 1),), 0, 0)


def test_a_copy_of_the_evaluation(folder: Path, built: Path, tmp_path: Path) -> None:
    """Does not get in either: texts are compared."""
    copy = tmp_path / "copy"
    (copy / "qrels").mkdir(parents=True)
    (copy / "queries.jsonl").write_bytes((folder / "queries.jsonl").read_bytes())
    split(copy, "test", "t1\tyeast\t1", "2\tyeast\t1")
    with pytest.raises(DataError, match="all 2 queries are queries of the evaluation"):
        read_labels(LabelsSpec(path=str(copy), split="test"), beir(folder), built, evaluation=EVALUATION)


def test_no_such_labels(folder: Path, built: Path, tmp_path: Path) -> None:
    """No folder, no split, no text, no document: each is said."""
    with pytest.raises(DataError, match=r"queries\.labels\.path: source beir needs a folder.* jsonl"):
        read_labels(LabelsSpec(), JSONL, built, evaluation=EVALUATION)
    with pytest.raises(DataError, match=r"queries\.labels\.path .*nowhere: no such folder"):
        read_labels(LabelsSpec(path=str(tmp_path / "nowhere")), JSONL, built, evaluation=EVALUATION)
    with pytest.raises(DataError, match="no split 'dev'; it has test, train"):
        read_labels(LabelsSpec(split="dev"), beir(folder), built, evaluation=EVALUATION)
    split(folder, "train", "1\tgone\t1")
    with pytest.raises(DataError, match=r"train\.tsv: of none of its 1 relevant pairs the document is known"):
        read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)
    split(folder, "train", "99\tyeast\t1")
    with pytest.raises(DataError, match=r"of none of its 1 relevant pairs the query has a text"):
        read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)
    split(folder, "train", "1\tyeast\t0")
    with pytest.raises(DataError, match="expected at least one labelled pair; found none"):
        read_labels(LabelsSpec(), beir(folder), built, evaluation=EVALUATION)


def test_evaluation_queries(folder: Path) -> None:
    """The texts of the split; none without qrels or a BEIR folder."""
    assert evaluation_queries(beir(folder), EVALUATION) == ("what is yeast",)
    assert evaluation_queries(JSONL, EVALUATION) == ()
    assert evaluation_queries(beir(folder / "qrels"), EVALUATION) == ()


def test_csv(built: Path, tmp_path: Path) -> None:
    """Documents by key or by whole text, in one passage or many, with title or without; in any order."""
    whole = LONG.replace(" ", "\n")
    spec = table(
        tmp_path,
        "id,document,query\n"
        "1,yeast,what rises\n"
        f'2,"{LONG}",long one\n'
        f'3,"A long text {whole}",long two\n'
        "4,No.,short\n"
        "5,Yeast makes dough rise. It is a fungus.,fungus\n"
        "6,yeast,what rises\n",
    )
    labels = read_labels(spec, JSONL, built, evaluation=EVALUATION)
    assert [(pair.query, pair.document) for pair in labels.pairs] == [
        ("what rises", "yeast"),
        ("long one", "long"),
        ("long two", "long"),
        ("short", "7"),
        ("fungus", "yeast"),
    ]
    assert {pair.relevance for pair in labels.pairs} == {1}
    assert (labels.barred, labels.unknown) == (0, 0)


def test_a_document_that_an_update_took_out(built: Path, tmp_path: Path) -> None:
    """Its label is counted and passed over."""
    path = tmp_path / "labels.csv"
    path.write_text("query,document\nwhat rises,yeast\nwhat fell,gone\n", "utf-8")
    labels = read_labels(LabelsSpec("csv", path=str(path)), JSONL, built, evaluation=EVALUATION, updated=True)
    assert labels.pairs == (LabelledPair("what rises", "yeast", 1),)
    assert labels.unknown == 1


def test_tsv_and_other_columns(built: Path, tmp_path: Path) -> None:
    """A .tsv file has tabs; the recipe names the columns."""
    path = tmp_path / "labels.tsv"
    path.write_text("question\tanswer\nwhat rises, and why\tyeast\n", "utf-8")
    spec = LabelsSpec("csv", path=str(path), query="question", document="answer")
    labels = read_labels(spec, JSONL, built, evaluation=EVALUATION)
    assert labels.pairs == (LabelledPair("what rises, and why", "yeast", 1),)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", r"labels\.csv: expected a header row; found an empty file"),
        ("question,document\nq,7\n", r"csv:1: expected the column 'query' .* under queries\.labels"),
        ("query\n", r"csv:1: expected the column 'document' .* under queries\.labels"),
        ("query,document\n,yeast\n", r"csv:2: expected some text in column 'query'; found none"),
        ("query,document\nq,7\n\nq, \n", r"csv:4: expected some text in column 'document'; found none"),
        ("query,document\nq,7,8\n", r"csv:2: wrong number of fields"),
        ('query,document\n"q,7\n', r"csv:2: malformed row"),
        ("query,document\nq,gone\n", r"csv:2: expected the key or the whole text .*'gone', which is neither"),
        ("query,document\nq,Yeast makes dough rise.\n", r"csv:2: .* which is neither"),
        (f"query,document\nq,{LONG[:-1]}\n", r"csv:2: .*…', which is neither"),
        ("query,document\n", r"expected at least one labelled pair; found none"),
    ],
)
def test_bad_csv(built: Path, tmp_path: Path, content: str, problem: str) -> None:
    """File and line are named."""
    with pytest.raises(DataError, match=problem):
        read_labels(table(tmp_path, content), JSONL, built, evaluation=EVALUATION)


def test_unreadable_csv(built: Path, tmp_path: Path) -> None:
    """A missing file, a folder, and bytes that are not UTF-8."""
    for path, problem in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=rf"queries\.labels\.path .*cannot be read \({problem}"):
            read_labels(LabelsSpec("csv", path=str(path)), JSONL, built, evaluation=EVALUATION)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("query,document\nKäse,7\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv:2: not UTF-8"):
        read_labels(LabelsSpec("csv", path=str(latin)), JSONL, built, evaluation=EVALUATION)


def test_documents_that_a_recipe_leaves_out(built: Path, tmp_path: Path) -> None:
    """With a limit, or when bad documents are skipped, unknown documents are counted."""
    spec = table(tmp_path, "query,document\nq,gone\nr,7\n")
    for corpus in (
        CorpusSpec("jsonl", path="x", limit=3),
        CorpusSpec("jsonl", path="x", on_error="skip"),
    ):
        labels = read_labels(spec, corpus, built, evaluation=EVALUATION)
        assert labels == Labels((LabelledPair("r", "7", 1),), 0, 1)


def test_csv_beside_an_evaluation(folder: Path, built: Path, tmp_path: Path) -> None:
    """Test queries are left out of every source."""
    spec = table(tmp_path, "query,document\nWHAT IS YEAST,yeast\nwhat is yeast!,7\nother,7\n")
    labels = read_labels(spec, beir(folder), built, evaluation=EVALUATION)
    assert labels == Labels((LabelledPair("other", "7", 1),), 2, 0)


def test_titles(built: Path, folder: Path, tmp_path: Path) -> None:
    """One pair a document that has a title."""
    labels = read_labels(LabelsSpec("titles"), JSONL, built, evaluation=EVALUATION)
    assert labels.pairs == (
        LabelledPair("What is yeast?", "yeast", 1),
        LabelledPair("A long text", "long", 1),
    )
    beside = read_labels(LabelsSpec("titles"), beir(folder), built, evaluation=EVALUATION)
    assert (beside.pairs, beside.barred) == (labels.pairs[1:], 1)
    bare = tmp_path / "bare"
    bare.mkdir()
    documents.write(chunker.chunk(DOCUMENTS[2], ChunkSpec(None), lambda texts: [1 for _ in texts]), bare)
    with pytest.raises(DataError, match=r"source titles: expected documents with titles; none has one"):
        read_labels(LabelsSpec("titles"), JSONL, bare, evaluation=EVALUATION)
