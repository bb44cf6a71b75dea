"""A library that only some bundles need: what is said where it is missing or broken."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import faiss_library
from edge_runtime.errors import CompatibilityError


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has not asked for it yet, and again afterwards."""
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    faiss_library.faiss.cache_clear()
    yield
    faiss_library.faiss.cache_clear()


def test_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is told."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(CompatibilityError, match=r"not installed; pip install 'edge-runtime\[faiss\]'$"):
        faiss_library.faiss()


@pytest.mark.parametrize(
    "broken",
    [
        "import no_such_module",
        "raise ImportError('libgomp.so.1: cannot open')",
        "raise OSError('wrong ELF class')",
    ],
)
def test_it_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Something that it needs is missing, or it is made for another machine."""
    (tmp_path / "faiss.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        CompatibilityError, match=r"faiss cannot be loaded \(.+\); pip install --force-reinstall"
    ):
        faiss_library.faiss()


def test_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only product codes do; to find out imports nothing."""
    assert faiss_library.obstacle("pq") is None
    found: Any = importlib.util.find_spec
    monkeypatch.setattr(faiss_library, "find_spec", lambda name: None if name == "faiss" else found(name))
    assert faiss_library.obstacle("pq") == faiss_library.MISSING
    assert [faiss_library.obstacle(search) for search in ("exact", "hnsw", "two-stage")] == [None] * 3
    assert "faiss" not in sys.modules
