"""Interpreters are found by what they say when they run, not by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import interpreters


def program(path: Path, line: str) -> Path:
    """A shell script of one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))


@pytest.mark.parametrize(
    "shim",
    [
        "echo 'python9.10: command not found' >&2; exit 127",
        "exit 0",  # runs, and is no Python
        "echo 9.1",
    ],
)
def test_a_name_proves_nothing(tmp_path: Path, shim: str) -> None:
    """A program on the PATH that is not of the version gives way to one of pyenv's."""
    program(tmp_path / "shims/python9.10", shim)
    assert interpreters.find("9.10") is None
    real = program(tmp_path / "pyenv/versions/9.10.3/bin/python9.10", "echo 9.10")
    assert interpreters.find("9.10") == real
    assert interpreters.find("9.1") is None


def test_the_path_comes_first(tmp_path: Path) -> None:
    """Where it has one that runs."""
    program(tmp_path / "pyenv/versions/9.10.3/bin/python9.10", "echo 9.10")
    chosen = program(tmp_path / "shims/python9.10", "echo 9.10")
    assert interpreters.find("9.10") == chosen


def test_what_cannot_be_run(tmp_path: Path) -> None:
    """A file of another processor, or none at all, is passed over."""
    assert interpreters.find("9.10") is None
    program(tmp_path / "shims/python9.10", "").write_bytes(b"\x7fELF")
    assert interpreters.find("9.10") is None
