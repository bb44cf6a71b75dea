"""Figures put into their place, and nothing else touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime import Error

Script = Callable[[str], ModuleType]


@pytest.mark.parametrize("old", ["", "\n", "\n\n| old | table |\n\n"])
def test_replace(tmp_path: Path, script: Script, old: str) -> None:
    """Every other byte stays: line ends, other sections, a second place of the same name."""
    path = tmp_path / "RESULTS.md"
    before, after = (
        "# Results\r\n\r\ncafé <!-- other -->x<!-- /other -->\n",
        "\n\n<!-- a --><!-- /a -->no newline",
    )
    path.write_bytes(f"{before}<!-- a -->{old}<!-- /a -->{after}".encode())
    script("results").replace_section(path, "a", r"| \1 \g<0> |")
    assert path.read_bytes().decode() == f"{before}<!-- a -->\n\n| \\1 \\g<0> |\n\n<!-- /a -->{after}"


def test_replacing_again_changes_nothing(tmp_path: Path, script: Script) -> None:
    """A benchmark may run as often as it likes."""
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- a --><!-- /a -->", "utf-8")
    results = script("results")
    results.replace_section(path, "a", "body")
    once = path.read_bytes()
    results.replace_section(path, "a", "body")
    assert path.read_bytes() == once


@pytest.mark.parametrize(
    "text", ["", "<!-- a -->", "<!-- /a --> <!-- a -->", "<!-- aa --><!-- /aa -->", "<!-- b --><!-- /b -->"]
)
def test_no_such_place(tmp_path: Path, script: Script, text: str) -> None:
    """Found out before and after measuring; the file stays as it was."""
    path = tmp_path / "RESULTS.md"
    path.write_text(text, "utf-8")
    results = script("results")
    problem = r"RESULTS\.md: expected a line <!-- a --> and, after it, a line <!-- /a -->$"
    with pytest.raises(Error, match=problem):
        results.check_section(path, "a")
    with pytest.raises(Error, match=problem):
        results.replace_section(path, "a", "body")
    assert path.read_text("utf-8") == text


def test_unreadable(tmp_path: Path, script: Script) -> None:
    """No file, or one that is not text."""
    with pytest.raises(Error, match=r"gone: cannot be read \(No such file or directory\)$"):
        script("results").check_section(tmp_path / "gone", "a")
    (tmp_path / "latin").write_bytes(b"caf\xe9 <!-- a --><!-- /a -->")
    with pytest.raises(Error, match=r"latin: not UTF-8; expected Markdown with a line <!-- a -->$"):
        script("results").check_section(tmp_path / "latin", "a")


def test_the_real_file_has_its_places(script: Script) -> None:
    """RESULTS.md, for the scripts that write into it."""
    for name in ("quality", "ablation", "filters", "latency"):
        script("results").check_section(Path(__file__).parents[2] / "benchmarks" / "RESULTS.md", name)
