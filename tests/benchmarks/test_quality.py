"""Building and measuring a tiny BEIR set, and the table that comes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]

SYSTEMS = [
    "BM25",
    "teacher, exact float32",
    "layers3, exact float32",
    "layers3, int8",
    "layers3, int8, index",
    "layers3, hybrid",
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus in BEIR layout, with three judged queries."""
    folder = tmp_path_factory.mktemp("data") / "tiny-beir"
    (folder / "qrels").mkdir(parents=True)
    documents = [json.loads(line) for line in corpus_file.read_text("utf-8").splitlines()]
    lines = [{"_id": row["id"], "title": row["title"], "text": row["text"]} for row in documents]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    queries = {"q1": "yeast dough oven", "q2": "anchor rope", "q3": "pulse and fever"}
    rows = [json.dumps({"_id": query, "text": text}) + "\n" for query, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(rows), "utf-8")
    topics = {"q1": "bread", "q2": "sailing", "q3": "clinic"}
    judged = [f"{query}\t{topic}-{number}\t1\n" for query, topic in topics.items() for number in range(8)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), "utf-8")
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A copy of the real RESULTS.md."""
    return Path(shutil.copy(ROOT / "benchmarks" / "RESULTS.md", tmp_path))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build folder, so that only the first test builds."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def small(teacher_folder: Path, results: Path, out: Path) -> list[str]:
    """The real recipe, but for a tiny teacher and few steps."""
    changes = {
        "teacher.model": teacher_folder,
        "encoders.0.layers": "[0, 2]",
        "training.steps": 20,
        "training.batch_size": 16,
        "training.held_out": 32,
        "gates.cosine_mean": 0.1,
        "gates.cosine_min": 0.1,
        "gates.index_recall": 0.1,
    }
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return [*settings, "--results", str(results), "--out", str(out)]


def test_table(data: Path, small: list[str], script: Script, results: Path, capsys: Output) -> None:
    """Machine, heading, every system, what else was measured; a second run finds the build."""
    quality = script("quality")
    before = results.read_text("utf-8")
    assert quality.main([str(data), *small]) == 0
    body = (
        results.read_text("utf-8").partition("<!-- quality -->\n\n")[2].partition("\n\n<!-- /quality -->")[0]
    )
    assert capsys.readouterr().out.endswith(f"{body}\n")
    machine, heading, table, notes = body.split("\n\n")
    assert re.search(r"cores of .+, CPython .+, torch \S+, .*, bm25s \S+\.$", machine)
    assert heading == "### tiny-beir"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[0] for row in rows[2:]] == SYSTEMS
    assert all(re.fullmatch(r"[01]\.\d{3}", cell) for row in rows[2:] for cell in row[1:5])
    teacher = float(rows[3][1])
    shares = {row[0]: float(row[5]) for row in rows[2:] if row[5]}
    assert list(shares) == SYSTEMS[2:]
    assert shares == {row[0]: pytest.approx(float(row[1]) / teacher, abs=0.01) for row in rows[4:]}
    assert notes.startswith("3 queries. layers3: 20 steps, ")
    written = results.read_text("utf-8")
    assert written.partition("<!-- quality -->")[0] == before.partition("<!-- quality -->")[0]
    assert written.partition("<!-- /quality -->")[2] == before.partition("<!-- /quality -->")[2]
    assert quality.main([str(data), *small]) == 0
    assert results.read_text("utf-8") == written


def test_below_the_gates(data: Path, small: list[str], script: Script, results: Path, capsys: Output) -> None:
    """No figure of a bundle that may not ship; after the lines of progress, one says which gate."""
    before = results.read_bytes()
    assert script("quality").main([str(data), *small, "--set", "gates.cosine_min=0.9999"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cosine_min" in captured.err.partition("quality.py: ")[2]
    assert results.read_bytes() == before


def fails(script: Script, arguments: list[str], capsys: Output) -> str:
    """The one line on stderr of a run that fails; nothing on stdout."""
    assert script("quality").main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("quality.py: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("quality.py: ").rstrip("\n")


def test_folders_are_looked_at_first(
    data: Path, small: list[str], script: Script, tmp_path: Path, capsys: Output
) -> None:
    """Before any training: no judgements, no folder, or two sets that would be built in one place."""
    unjudged = tmp_path / "unjudged"
    unjudged.mkdir()
    expected = "no qrels folder; quality is measured on judged queries"
    assert fails(script, [str(data), str(unjudged), *small], capsys) == f"{unjudged}: {expected}"
    assert fails(script, [str(tmp_path / "gone"), *small], capsys) == f"{tmp_path}/gone: {expected}"
    twin = shutil.copytree(data, tmp_path / "elsewhere" / data.name)
    found = fails(script, [str(data), str(twin), *small], capsys)
    assert found == f"{twin}: a second folder named tiny-beir; rename one"


def test_results_are_looked_at_first(
    data: Path, small: list[str], script: Script, results: Path, capsys: Output
) -> None:
    """A file without the place, or none."""
    results.write_text("# Results\n", "utf-8")
    expected = f"{results}: expected a line <!-- quality --> and, after it, a line <!-- /quality -->"
    assert fails(script, [str(data), *small], capsys) == expected
    results.unlink()
    expected = f"{results}: cannot be read (No such file or directory)"
    assert fails(script, [str(data), *small], capsys) == expected


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--set", "training.stepz=1"], "--set training.stepz=1: "),
        (["--set", "training"], "--set training: "),
        (["--recipe", "/gone.yaml"], "/gone.yaml: no such file"),
        (["--set", "evaluation.split=dev"], "DATA/qrels: no split 'dev'; it has test"),
    ],
)
def test_errors(
    data: Path,
    small: list[str],
    script: Script,
    results: Path,
    capsys: Output,
    arguments: list[str],
    problem: str,
) -> None:
    """Of the recipe and of the data; RESULTS.md stays as it was."""
    before = results.read_bytes()
    assert problem.replace("DATA", str(data)) in fails(script, [str(data), *small, *arguments], capsys)
    assert results.read_bytes() == before


def test_a_folder_given_as_a_dot(data: Path, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still has a name."""
    monkeypatch.chdir(data)
    assert script("quality").name_of(Path()) == "tiny-beir"
