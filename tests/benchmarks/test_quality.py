"""Building and measuring the ladder on a tiny BEIR set, and the tables that come of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bundle import read_manifest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]

FIGURE = r"[01]\.\d{3}"
SPREAD = rf"{FIGURE} ± {FIGURE}(?: ✗)?"
INTERVAL = r"[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build folder, so that only the first test builds."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def small(tiny: list[str], results: Path, out: Path) -> list[str]:
    """The real recipe, but for a tiny teacher, two small rungs and few steps."""
    return [*tiny, "--results", str(results), "--out", str(out)]


def cells(table: str) -> list[list[str]]:
    """The rows of a Markdown table, heading included."""
    lines = [line for line in table.splitlines() if not line.startswith("| ---")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def between(text: str, section: str) -> str:
    """What stands in a place of RESULTS.md."""
    return text.partition(f"<!-- {section} -->\n\n")[2].partition(f"\n\n<!-- /{section} -->")[0]


def test_tables(
    beir: Path, small: list[str], script: Script, results: Path, out: Path, capsys: Output
) -> None:
    """Two seeds: what was measured, on what; a second run finds the builds and changes nothing."""
    command, before = [str(beir), *small, "--seeds", "0,1"], results.read_text("utf-8")
    assert script("quality").main(command) == 0
    body = between(results.read_text("utf-8"), "quality")
    told = capsys.readouterr()
    assert told.out.endswith(f"{body}\n")
    assert re.search(r"^ +step +20 ", told.err, re.MULTILINE)
    machine, about, _, retention, _, ndcg, _, differences, _, training = body.split("\n\n")
    assert re.search(r"cores of .+, CPython .+, torch \S+, .*, bm25s \S+\.$", machine)
    assert re.fullmatch(
        r"Teacher and document tower: \S+\. Seeds 0 and 1: mean ± standard deviation\.", about
    )
    head, *rows = cells(retention)
    assert head == ["rung", "tiny-beir", "mean", "bar"]
    assert [(row[0], row[3]) for row in rows] == [("layers2", "0.970"), ("static", "0.950")]
    assert all(re.fullmatch(SPREAD, cell) for row in rows for cell in row[1:3])
    systems = ["BM25", "teacher, exact float32", "layers2", "static", "layers2, hybrid", "static, hybrid"]
    assert [row[0] for row in cells(ndcg)] == ["system", *systems]
    assert all(re.fullmatch(FIGURE, row[1]) for row in cells(ndcg)[1:])
    assert [row[0] for row in cells(differences)] == ["rung", "layers2", "static"]
    assert all(re.fullmatch(INTERVAL, row[1]) for row in cells(differences)[1:])
    found = cells(training)
    assert [(row[0], row[2]) for row in found[1:]] == [
        ("**tiny-beir**", ""),
        ("layers2", "320"),
        ("static", "5,120"),
    ]
    assert found[1][8:] == ["48", "3"]
    figures = {row[0]: row[1] for row in cells(ndcg)}
    for row in cells(differences)[1:]:
        lost = float(figures[row[0]]) - float(figures["teacher, exact float32"])
        assert float(row[1].partition(" ")[0]) == pytest.approx(lost, abs=0.0011)
    written = results.read_text("utf-8")
    assert written.partition("<!-- quality -->")[0] == before.partition("<!-- quality -->")[0]
    assert written.partition("<!-- /quality -->")[2] == before.partition("<!-- /quality -->")[2]
    assert script("quality").main(command) == 0
    assert results.read_text("utf-8") == written
    assert not re.search(r"^ +step +\d", capsys.readouterr().err, re.MULTILINE)


def test_seeds_share_their_work(beir: Path, small: list[str], script: Script, out: Path) -> None:
    """The recipe's own seed is the set's bundle; another has a build folder, and the same stages."""
    assert script("quality").main([str(beir), *small, "--seeds", "0,1"]) == 0
    usual, other = out / "tiny-beir", out / "tiny-beir-seed1"
    assert (other / "stages").is_symlink()
    assert (other / "stages").samefile(usual / "stages")
    assert len(list((usual / "stages").glob("documents-*"))) == 1
    assert len(list((usual / "stages").glob("vectors-*"))) == 1
    assert len(list((usual / "stages").glob("lessons-*"))) == 2
    path = read_manifest(usual / "bundle").index.path
    assert (usual / "bundle" / path).read_bytes() == (other / "bundle" / path).read_bytes()


def test_another_section(beir: Path, small: list[str], script: Script, results: Path) -> None:
    """A second teacher's tables stand elsewhere; one seed has no spread."""
    before = results.read_text("utf-8")
    results.write_text(before + "\n<!-- quality-other -->\n<!-- /quality-other -->\n", "utf-8")
    assert script("quality").main([str(beir), *small, "--section", "quality-other"]) == 0
    written = results.read_text("utf-8")
    assert written.startswith(before)
    body = between(written, "quality-other")
    assert ". Seed 0.\n" in body
    assert "±" not in body


def test_below_the_gates(beir: Path, small: list[str], script: Script, results: Path, capsys: Output) -> None:
    """No figure of a bundle that may not ship; after the lines of progress, which gate it missed."""
    before = results.read_bytes()
    assert script("quality").main([str(beir), *small, "--set", "gates.cosine_min=1"]) == 1
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
    beir: Path, small: list[str], script: Script, tmp_path: Path, capsys: Output
) -> None:
    """Before any training: no judgements, no folder, or two sets that would be built in one place."""
    unjudged = tmp_path / "unjudged"
    unjudged.mkdir()
    expected = "no qrels folder; quality is measured on judged queries"
    assert fails(script, [str(beir), str(unjudged), *small], capsys) == f"{unjudged}: {expected}"
    assert fails(script, [str(tmp_path / "gone"), *small], capsys) == f"{tmp_path}/gone: {expected}"
    twin = shutil.copytree(beir, tmp_path / "elsewhere" / beir.name)
    found = fails(script, [str(beir), str(twin), *small], capsys)
    assert found == f"{twin}: a second folder named tiny-beir; rename one"


def test_results_are_looked_at_first(
    beir: Path, small: list[str], script: Script, results: Path, capsys: Output
) -> None:
    """A file without the place, or none."""
    expected = f"{results}: expected a line <!-- other --> and, after it, a line <!-- /other -->"
    assert fails(script, [str(beir), *small, "--section", "other"], capsys) == expected
    results.unlink()
    expected = f"{results}: cannot be read (No such file or directory)"
    assert fails(script, [str(beir), *small], capsys) == expected


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--set", "training.stepz=1"], "--set training.stepz=1: "),
        (["--set", "training"], "--set training: "),
        (["--recipe", "/gone.yaml"], "/gone.yaml: no such file"),
        (["--set", "evaluation.split=dev"], "DATA/qrels: no split 'dev'; it has test"),
        (["--seeds", f"0,{1 << 32}"], f"--set training.seed={1 << 32}: expected less than 2**32"),
        (["--set", "corpus.source=text"], "expected a recipe with 'source: beir', whose queries are judged"),
    ],
)
def test_errors(
    beir: Path,
    small: list[str],
    script: Script,
    results: Path,
    capsys: Output,
    arguments: list[str],
    problem: str,
) -> None:
    """Of the recipe and of the data, before any training; RESULTS.md stays as it was."""
    before = results.read_bytes()
    assert problem.replace("DATA", str(beir)) in fails(script, [str(beir), *small, *arguments], capsys)
    assert results.read_bytes() == before
