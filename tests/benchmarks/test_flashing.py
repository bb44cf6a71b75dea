"""The table of bytes that a flash sends, for the tiny bundle."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from build_tools.flash import delta

Script = Callable[[str], ModuleType]


@pytest.fixture
def run(script: Script, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit status of the script."""

    def called(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["flashing.py", *map(str, arguments)])
        return int(script("flashing").main())

    return called


@pytest.mark.skipif(not delta.available(), reason="rsync is not installed here")
def test_a_line_for_each_flash(
    run: Callable[..., int], two_engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed is sent; inside of it, rsync sends less, and what is nothing new is sent by neither."""
    monkeypatch.setenv("PATH", sys.exec_prefix + "/bin:/usr/local/bin:/usr/bin:/bin")
    results = tmp_path / "RESULTS.md"
    results.write_text("<!-- flashing -->\n<!-- /flashing -->\n", "utf-8")
    assert run(two_engines, "--write", results) == 0
    header, _, *lines = [
        line.strip("| ").split(" | ") for line in results.read_text("utf-8").splitlines() if line[:1] == "|"
    ]
    assert header[1:5] == ["files sent", "MB sent", "MB with rsync", "MB in the bundle"]
    found = {name: [float(figure) for figure in figures[:4]] for name, *figures in lines}
    assert list(found) == ["first", "the same again", "one encoder", "one document"]
    assert found["the same again"][:3] == [0, *[pytest.approx(0.003, abs=0.003)] * 2]
    assert found["first"][1] == pytest.approx(found["first"][3], rel=0.05)
    assert found["one encoder"][2] < found["one encoder"][1] / 3


def test_without_rsync(
    run: Callable[..., int], bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is measured."""
    monkeypatch.setattr(delta, "PROGRAM", "no-such-rsync")
    assert run(bundle) == 1
    assert "rsync is not installed here" in capsys.readouterr().err
