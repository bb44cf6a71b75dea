"""The table of fusions, on a tiny BEIR set whose bundle quality.py has built."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def built(beir: Path, tiny: list[str], script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of builds."""
    out = tmp_path_factory.mktemp("build")
    results = out / "RESULTS.md"
    results.write_text("<!-- quality -->\n<!-- /quality -->\n", "utf-8")
    assert script("quality").main([str(beir), *tiny, "--out", str(out), "--results", str(results)]) == 0
    return out


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file with a place for the table."""
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- fusion -->\n<!-- /fusion -->\n", "utf-8")
    return path


def test_a_row_for_each_encoder(script: Script, beir: Path, built: Path, place: Path) -> None:
    """The best of nineteen weights is no worse than the even one; shares are of the figures beside them."""
    arguments = [str(beir), "--out", str(built), "--encoders", "layers2,static", "--results", str(place)]
    assert script("fusion").main(arguments) == 0
    rows = [line[2:-2].split(" | ") for line in place.read_text("utf-8").splitlines() if line[:2] == "| "]
    assert [row[:2] for row in rows[2:]] == [["tiny-beir", "layers2"], ["tiny-beir", "static"]]
    for row in rows[2:]:
        dense, words, _, _, weighted = (float(cell) for cell in row[2:7])
        best = re.fullmatch(r"([01]\.\d{3}) at (0\.\d\d)", row[8])
        assert best
        assert float(row[7]) == pytest.approx(weighted / max(dense, words), abs=2e-3)
        assert float(row[9]) == pytest.approx(weighted / float(best[1]), abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{beir}", "--out", "/gone"], "/gone/tiny-beir/bundle"),
        (["{beir}", "--encoders", "layers9"], "layers9"),
        (["/gone"], "no qrels folder"),
        (["{beir}", "--section", "other"], "expected a line <!-- other -->"),
    ],
)
def test_what_it_cannot_compare(
    script: Script, beir: Path, built: Path, place: Path, capsys: Output, arguments: list[str], problem: str
) -> None:
    """One line on stderr."""
    given = [argument.format(beir=beir) for argument in arguments]
    assert script("fusion").main(["--out", str(built), "--results", str(place), *given]) == 1
    assert problem in capsys.readouterr().err.splitlines()[-1]
