"""Wheels for the machine: unpacked, compiled, and refused when they are none."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from emulator import bytecode, packages
from emulator.errors import EmulatorError


def test_unpacked_where_the_machine_finds_it(tmp_path: Path) -> None:
    """With bytecode, if this Python writes the machine's."""
    wheel = tmp_path / "one-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("one.py", "ANSWER = 1\n")
        archive.writestr("template.py", "def (\n")
    packages.unpack([wheel], tmp_path / "site")
    compiled = [path.name for path in (tmp_path / "site").rglob("*.pyc")]
    same = f"{sys.version_info[0]}.{sys.version_info[1]}" == bytecode.PYTHON
    assert compiled == ([f"one.{sys.implementation.cache_tag}.pyc"] if same else [])


def test_a_zip_that_is_no_wheel(tmp_path: Path) -> None:
    """Said before anything is fetched."""
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("one.py", "")
    with pytest.raises(EmulatorError, match=r"a\.whl: no METADATA in it; expected a wheel"):
        packages.packages(tmp_path / "a.whl")
