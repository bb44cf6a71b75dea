"""The emulated device with the tiny bundle that has encoders for both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulator.errors import UnavailableError
from emulator.runtime import Runtime


@pytest.fixture(scope="session")
def runtime(two_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """One machine, off; tests boot it. They are skipped where this computer cannot make it."""
    try:
        return Runtime.create(two_engines, tmp_path_factory.mktemp("device"))
    except UnavailableError as problem:
        pytest.skip(str(problem))
