"""What the scripts that build bundles have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime import Error

Script = Callable[[str], ModuleType]


def test_seeds(script: Script) -> None:
    """In the order that they are given."""
    assert script("command").seed_numbers("2,0,10") == (2, 0, 10)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "whole numbers such as 0,1,2; found ''"),
        ("0,", "whole numbers"),
        ("-1", "whole numbers"),
        ("1.5", "whole numbers"),
        ("0, 1", "whole numbers"),
        ("²", "whole numbers"),
        ("1,2,01", "different seeds; found '1,2,01'"),
    ],
)
def test_wrong_seeds(script: Script, text: str, problem: str) -> None:
    """One clear error of the command line."""
    with pytest.raises(argparse.ArgumentTypeError, match=problem):
        script("command").seed_numbers(text)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Error("a file: is wrong"), 1, "x.py: a file: is wrong\n"),
        (OSError(28, "No space left on device"), 1, "x.py: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, "x.py: interrupted; run the same command again to go on\n"),
    ],
)
def test_what_goes_wrong(
    script: Script, error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, and the exit status."""

    def action(_: argparse.Namespace) -> None:
        raise error

    assert script("command").run("x.py", action, argparse.Namespace()) == status
    assert capsys.readouterr().err == line


def test_a_folder_given_as_a_dot(beir: Path, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still has a name."""
    monkeypatch.chdir(beir)
    assert script("command").name_of(Path()) == "tiny-beir"
