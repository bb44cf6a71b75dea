"""A build folder that a test may change, and files of further documents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build_tools.updates import Line


@pytest.fixture
def home(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle's build folder without its finished stages, as on another machine."""
    return Path(
        shutil.copytree(built_home, tmp_path / "home", ignore=shutil.ignore_patterns("stages", "lock"))
    )


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines of the corpus' kind into a file."""

    def write(*lines: Line, name: str = "given.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return path

    return write
