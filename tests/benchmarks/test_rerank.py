"""The table of reranking, on the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


def test_a_row_for_each_depth(
    script: Script, reranked_bundle: Path, beir: Path, cross_encoder_folder: Path, results: Path
) -> None:
    """Without, and at each depth; then how far int8 is from float32."""
    arguments = [str(reranked_bundle), str(beir), "--cross-encoder", str(cross_encoder_folder)]
    options = ["--depths", "3,9", "--compared", "2", "--results", str(results)]
    assert script("rerank").main([*arguments, *options]) == 0
    text = results.read_text("utf-8").partition("<!-- rerank -->")[2].partition("<!-- /rerank -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    _, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert [row[0] for row in rows] == ["no", "top 3", "top 9"]
    assert [row[2] == "" for row in rows] == [True, False, False]
    assert "18 pairs of 2 questions" in text


def test_nothing_to_rerank(
    script: Script, bundle: Path, beir: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, before anything is loaded."""
    arguments = [
        str(bundle),
        str(beir),
        "--cross-encoder",
        "none",
        "--depths",
        "0",
        "--results",
        str(results),
    ]
    assert script("rerank").main(arguments) == 1
    assert capsys.readouterr().err == "rerank.py: --depths and --compared: expected 1 or more\n"
