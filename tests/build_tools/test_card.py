"""The quality card: judged queries and the table."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from build_tools import card, evaluate, quality
from build_tools.errors import DataError
from build_tools.quality import QualityCard, Row

STAGES = ("exact float32", "int8", "int8, index", "hybrid")
QUERIES = {"q1": "dough", "q2": "anchor", "q3": "never judged"}


def beir(folder: Path, qrels: str) -> Path:
    """A folder with `QUERIES` and these judgements."""
    (folder / "qrels").mkdir()
    lines = [json.dumps({"_id": query, "text": text}) + "\n" for query, text in QUERIES.items()]
    (folder / "queries.jsonl").write_text("".join(lines), "utf-8")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels, "utf-8")
    return folder


def test_labelled(tmp_path: Path) -> None:
    """Texts and judgements of judged queries; judgements of unknown queries are left out."""
    folder = beir(tmp_path, "q2\ta\t1\nq1\tb\t2\nq1\tc\t0\nq9\ta\t1\n")
    questions = card.labelled(folder, "test", ["a", "b", "c"])
    assert questions.basis == "labels"
    assert dict(questions.texts) == {"q2": "anchor", "q1": "dough"}
    assert dict(questions.judgements) == {"q2": {"a": 1}, "q1": {"b": 2, "c": 0}}
    assert list(card.labelled(folder, "test", ["a"], limit=1).texts) == ["q2"]


def test_queries_without_a_relevant_document_count_as_missed(tmp_path: Path) -> None:
    """As in trec_eval, so that figures compare with published ones: one of two found is a half."""
    questions = card.labelled(beir(tmp_path, "q1\ta\t0\nq2\ta\t1\n"), "test", ["a"])
    assert list(questions.texts) == ["q1", "q2"]
    assert evaluate.measure("any", [[("a", 1.0)], [("a", 1.0)]], questions).ndcg_10 == 0.5


@pytest.mark.parametrize("qrels", ["q1\tz\t1\n", "q1\ta\t0\n", "q9\ta\t1\n"])
def test_another_corpus(tmp_path: Path, qrels: str) -> None:
    """A document that is judged irrelevant does not make it the right one."""
    with pytest.raises(DataError, match="none of its relevant documents is in this bundle"):
        card.labelled(beir(tmp_path, qrels), "test", ["a", "b"])


def test_rows_of_a_build(bundle: Path) -> None:
    """Every stage between words alone and the hybrid answer, the teacher perfect by definition."""
    measured = quality.read(bundle)
    assert [row.system for row in measured.rows] == [
        "BM25",
        "teacher, exact float32",
        *(f"layers2, {stage}" for stage in STAGES),
        *(f"static, {stage}" for stage in STAGES),
    ]
    assert measured.rows[1].ndcg_10 == measured.rows[1].recall_10 == 1
    model = (bundle / "encoders" / "layers2").iterdir()
    assert measured.rows[3].bytes == sum(file.stat().st_size for file in model)
    assert measured.rows[4].bytes == (bundle / "dense.usearch").stat().st_size
    table = (bundle / "encoders" / "static").iterdir()
    assert measured.rows[7].bytes == sum(file.stat().st_size for file in table)
    assert [parity.encoder for parity in measured.parity] == ["layers2", "static"]
    assert measured.dimensions == ()
    assert measured.vocabularies == ()


SYSTEMS = ("BM25", "teacher, exact float32", "layers3, exact float32", "layers3, int8, index")
MEASURED = QualityCard(
    "teacher",
    500,
    tuple(Row(system, 0.12345, 0.2, 0.3, 0.4, 0.98765, 123456789) for system in SYSTEMS),
    (),
    None,
)


def test_the_table_fits_a_terminal() -> None:
    """80 columns hold every row on one line, nothing cut or wrapped."""
    shown = io.StringIO()
    Console(file=shown, width=80, highlight=False).print(quality.table(MEASURED))
    lines = shown.getvalue().splitlines()
    assert "Quality on 500 held-out texts; relevant = the teacher's ten best" in lines[0]
    for system in SYSTEMS:
        [line] = [line for line in lines if system in line]
        assert line.split()[-6:] == ["0.123", "0.200", "0.300", "0.400", "0.988", "123.5"]
    assert max(map(len, lines)) <= 80
    assert "…" not in shown.getvalue()


def test_figures_of_an_earlier_version() -> None:
    """The table says whose documents they are of."""
    shown = io.StringIO()
    Console(file=shown, width=80).print(quality.table(replace(MEASURED, version="1.0.0")))
    assert "with the documents of 1.0.0: others came or went since" in shown.getvalue().splitlines()[1]


def test_figures_that_were_not_measured_stay_empty() -> None:
    """No retention, no size."""
    shown = io.StringIO()
    measured = QualityCard("labels", 3, (Row("BM25", 0.1, 0.2, 0.3, 0.4),), (), None)
    Console(file=shown, width=80).print(quality.table(measured))
    assert "Quality on 3 judged queries" in shown.getvalue()
    assert shown.getvalue().rstrip().endswith("0.400")
