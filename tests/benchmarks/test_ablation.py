"""What each loss adds, on a tiny BEIR set with a train split."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]

INTERVAL = r"[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]"


@pytest.fixture
def small(tiny: list[str], results: Path, tmp_path: Path) -> list[str]:
    """The real recipe, but for a tiny teacher, a static rung and few steps."""
    return [*tiny, "--rung", "static", "--results", str(results), "--out", str(tmp_path / "build")]


def test_table(
    beir: Path, small: list[str], script: Script, results: Path, tmp_path: Path, capsys: Output
) -> None:
    """Three rows, two seeds: a table, shared work, and a second run that changes nothing."""
    before = results.read_text("utf-8")
    command = [str(beir), *small, "--seeds", "0,1", "--rows", "unlabelled,cosine,cosine+contrastive"]
    assert script("ablation").main(command) == 0
    written = results.read_text("utf-8")
    body = written.partition("<!-- ablation -->\n\n")[2].partition("\n\n<!-- /ablation -->")[0]
    assert capsys.readouterr().out.endswith(f"{body}\n")
    machine, about, table = body.split("\n\n")
    assert "CPython" in machine
    assert about.startswith("tiny-beir, 3 queries of its test split; static as it ships")
    assert "Seeds 0 and 1: mean ± standard deviation." in about
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    shown = ["cosine, no labels", "cosine", "cosine + 0.1 contrastive"]
    assert [row[0] for row in rows[2:]] == ["teacher, exact float32", *shown]
    assert all(re.fullmatch(r"\d\.\d{3} ± \d\.\d{3}", row[1]) for row in rows[3:])
    assert all(re.fullmatch(INTERVAL, row[3]) for row in rows[3:])
    assert [bool(re.fullmatch(INTERVAL, row[4])) for row in rows[3:]] == [True, False, True]
    assert written.partition("<!-- ablation -->")[0] == before.partition("<!-- ablation -->")[0]
    homes = sorted(path.name for path in (tmp_path / "build" / "tiny-beir-ablation").iterdir())
    rows_built = ["cosine1-contrastive0.1", "cosine1", "unlabelled"]
    assert homes == sorted(f"{name}-seed{seed}" for name in rows_built for seed in (0, 1))
    stages = tmp_path / "build" / "tiny-beir" / "stages"
    assert len(list(stages.glob("vectors-*"))) == 1
    assert len(list(stages.glob("lessons-*"))) == 4
    assert script("ablation").main(command) == 0
    assert results.read_text("utf-8") == written


def test_figures(script: Script) -> None:
    """Each row against the teacher and against cosine alone, by queries; the baseline against no row."""
    ablation, rows = script("ablation"), script("ablation_rows")

    def outcome(text: str, ndcg: list[list[float]]) -> object:
        return ablation.Outcome(rows.Row.parse(text, weight=0.1), np.array(ndcg), 6.25)

    teacher = np.array([0.5, 1.0])
    outcomes = [
        outcome("cosine", [[0.25, 0.75], [0.25, 0.75]]),
        outcome("cosine+kl", [[0.5, 0.75], [0.75, 1.25]]),
    ]
    assert ablation.table(outcomes, teacher).splitlines() == [
        "| losses | nDCG@10 | of the teacher | minus the teacher | minus cosine alone | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| teacher, exact float32 | 0.750 |  |  |  |  |",
        "| cosine | 0.500 ± 0.000 | 0.667 | -0.250 [-0.250, -0.250] |  | 6.2 |",
        "| cosine + 0.1 kl | 0.812 ± 0.265 | 1.083 | +0.062 [+0.000, +0.125] "
        "| +0.312 [+0.250, +0.375] | 6.2 |",
    ]


def planned(script: Script, arguments: list[str]) -> list[str]:
    """The rows of a command line."""
    ablation = script("ablation")
    return [each.row.shown for each in ablation.plan(ablation.parser().parse_args(arguments))]


def test_rows(beir: Path, small: list[str], script: Script, tmp_path: Path) -> None:
    """Those of a cross-encoder only with one; the baseline whether or not it is named, and nothing twice."""
    rows = script("ablation_rows")
    command = [str(beir), *small]
    assert len(planned(script, command)) == len(rows.ROWS)
    (tmp_path / "config.json").write_text("{}", "utf-8")
    all_rows = planned(script, [*command, "--cross-encoder", str(tmp_path)])
    assert len(all_rows) == len(rows.ROWS) + len(rows.CROSS_ENCODER_ROWS)
    few = planned(script, [*command, "--weight", "0.3", "--rows", "l2,cosine+listwise,cosine+listwise=0.3"])
    assert few == ["cosine", "l2", "cosine + 0.3 listwise"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--rows", "cosine+infonce"], "row cosine+infonce: no loss 'infonce'"),
        (["--rows", "cosine+kl"], "margin_mse, kl and preference need one; name it"),
        (
            ["--cross-encoder", "gone"],
            "gone: no config.json; expected a folder that edge-build train-reranker",
        ),
        (["--rung", "layers9"], "beir.yaml: no encoder 'layers9'; it has layers2 and static"),
        (["--set", "queries.labels.split=dev"], "DATA/qrels: no split 'dev'; it has test, train"),
        (["--set", "training.stepz=1"], "--set training.stepz=1: "),
        (["--section", "gone"], "expected a line <!-- gone -->"),
    ],
)
def test_errors(
    beir: Path,
    small: list[str],
    script: Script,
    results: Path,
    tmp_path: Path,
    capsys: Output,
    arguments: list[str],
    problem: str,
) -> None:
    """Before anything is built; RESULTS.md stays as it was."""
    before = results.read_bytes()
    assert script("ablation").main([str(beir), *small, *arguments]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith("ablation.py: ")
    assert problem.replace("DATA", str(beir)) in captured.err
    assert results.read_bytes() == before
    assert not (tmp_path / "build").exists()
