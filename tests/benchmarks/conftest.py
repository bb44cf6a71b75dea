"""The scripts in benchmarks/, which import each other as top-level modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bench import latency as bench
from edge_runtime.bench.report import Report

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script by name, as Python finds it when another script there runs."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="session")
def report(bundle: Path) -> Report:
    """Twenty searches on this machine."""
    return bench.run(bundle, n=20, warm_up=0, cold_starts=0)


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device: matplotlib is not installed."""
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
