"""From a bundle to the folder of its report, and the command that does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import cli
from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.report import report
from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError


def test_beside_the_bundle(bundle_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the page's path; the bundle stays whole."""
    assert cli.main(["report", str(bundle_copy)]) == 0
    folder = bundle_copy.parent / "report"
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "pareto.png",
        "index-recall.png",
        "sizes.png",
    }
    Bundle.open(bundle_copy).close()
    assert "No build folder stands beside the bundle" in (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("inside", [".", "encoders", "new/folder", "encoders/../x"])
def test_not_into_the_bundle(bundle_copy: Path, inside: str) -> None:
    """A file more, and no device would open it."""
    with pytest.raises(BuildError, match=r"lies in the bundle, .*choose another --out"):
        report(bundle_copy, bundle_copy / inside, Progress())
    Bundle.open(bundle_copy).close()


def test_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said at once, and nothing is made."""
    with pytest.raises(BundleError, match="no such bundle directory"):
        report(tmp_path / "nowhere", None, Progress())
    assert cli.main(["report", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "no such bundle directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
