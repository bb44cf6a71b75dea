"""Pictures of a report."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bench.report import Latency, Report, to_json

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]


def size(path: Path) -> tuple[int, int]:
    """Width and height from a PNG's first chunk."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def flat(report: Report, milliseconds: float) -> Report:
    """Every search took exactly as long."""
    total = Latency("total", 1, *[milliseconds] * 6)
    return replace(report, total=total, curve=(milliseconds,) * 101)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report,
        lambda report: replace(report, valid=False, starts=(), stages=()),
        lambda report: flat(report, 1.0),
        lambda report: flat(report, 0.0),
        lambda report: replace(report, curve=tuple(1.1**point for point in range(101))),
    ],
    ids=["real", "invalid", "flat", "zero", "long tail"],
)
def test_draw(tmp_path: Path, script: Script, report: Report, change: Callable[[Report], Report]) -> None:
    """A PNG of 1600 x 640 whatever the figures; no warning on the way."""
    script("plots").draw(change(report), tmp_path / "plot.png")
    assert size(tmp_path / "plot.png") == (1600, 640)


def test_figures_on_too_few_samples_are_marked(script: Script) -> None:
    """As in the table."""
    figure = script("plots")._figure
    assert figure(99, 1.234, 1000) == "p99     1.23 ms"
    assert figure(99, 1.234, 999) == "p99    ~1.23 ms"


def test_the_script(tmp_path: Path, script: Script, report: Report, capsys: Output) -> None:
    """JSON in, PNG out, nothing said."""
    (tmp_path / "a.json").write_text(to_json(report), "utf-8")
    assert script("plots").main([str(tmp_path / "a.json"), str(tmp_path / "a.png")]) == 0
    assert size(tmp_path / "a.png") == (1600, 640)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "png", "problem"),
    [
        (None, "a.png", "a.json'"),
        (b"{}", "a.png", "a.json: not a benchmark report (started: missing"),
        (b"\xff", "a.png", "a.json: 'utf-8' codec can't decode"),
        (..., "gone/a.png", "gone/a.png'"),
    ],
)
def test_errors(
    tmp_path: Path, script: Script, report: Report, capsys: Output, content: object, png: str, problem: str
) -> None:
    """One line that names the file at fault; status 1."""
    if content is not None:
        data = content if isinstance(content, bytes) else to_json(report).encode()
        (tmp_path / "a.json").write_bytes(data)
    assert script("plots").main([str(tmp_path / "a.json"), str(tmp_path / png)]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith("plots.py: ")
    assert captured.count("\n") == 1
    assert f"{tmp_path}/{problem}" in captured


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib(tmp_path: Path, script: Script, report: Report, capsys: Output) -> None:
    """What to install."""
    (tmp_path / "a.json").write_text(to_json(report), "utf-8")
    assert script("plots").main([str(tmp_path / "a.json"), str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err == ("plots.py: matplotlib is not installed here; pip install matplotlib\n")
