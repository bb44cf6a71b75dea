"""Programs of this computer: what is missing is said with what to do, what fails with its own words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from emulator import tools
from emulator.errors import EmulatorError, UnavailableError


def test_what_is_missing() -> None:
    """Each package once, whatever programs of it are not there."""
    wanted = {"python-of-nobody": "nobody", "python-of-nobody-either": "nobody", "sh": "dash", "gone": "away"}
    assert tools.missing(wanted) == ("away", "nobody")
    with pytest.raises(UnavailableError, match="not here: apt-get install away nobody"):
        tools.require(wanted)
    tools.require({"sh": "dash"})


def test_programs_of_root_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users have no /usr/sbin in their path, where mke2fs is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.missing({"ldconfig": "libc-bin"}) == ()


def test_installing_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried without."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="installing cpio kmod takes root and apt-get"):
        tools.install(["cpio", "kmod"])
    with pytest.raises(UnavailableError, match="building it takes root"):
        tools.require_root()


def test_a_program_that_fails(tmp_path: Path) -> None:
    """The message has what was done, the status and the end of what it said."""
    code = "import sys; print('1\\n2\\n\\n3\\n4', file=sys.stderr); sys.exit(7)"
    with pytest.raises(EmulatorError, match=r"^counting: status 7: 2 / 3 / 4$"):
        tools.call([sys.executable, "-c", code], about="counting")
    with pytest.raises(UnavailableError, match="cannot be run"):
        tools.call([tmp_path / "gone"], about="counting", error=UnavailableError)
    assert tools.call(["cat"], about="reading", stdin="text") == "text"
