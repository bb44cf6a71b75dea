"""Stand-ins during an import: nothing unused is loaded, and what is used after all works as ever."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime import lean_import
from edge_runtime.lean_import import import_without, only_thread

LIBRARY = """
import lean_parent.downloads
from lean_bars import bar

def download(name):
    return lean_parent.downloads.fetch(name, times=2)

def show(n):
    return bar(n)
"""


@pytest.fixture(autouse=True)
def _only_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runner has threads of its own, which import nothing meanwhile."""
    monkeypatch.setattr(lean_import, "only_thread", lambda: True)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A library that imports two others, one of them in a package, for functions that few call."""
    (tmp_path / "lean_library.py").write_text(LIBRARY, "utf-8")
    (tmp_path / "lean_bars.py").write_text("def bar(n):\n    return '#' * n\n", "utf-8")
    (tmp_path / "lean_parent").mkdir()
    (tmp_path / "lean_parent/__init__.py").write_text("", "utf-8")
    (tmp_path / "lean_parent/downloads.py").write_text(
        "def fetch(name, times):\n    return [name] * times\n", "utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("lean_library", "lean_bars", "lean_parent", "lean_parent.downloads"):
        sys.modules.pop(name, None)


UNUSED = ("lean_bars", "lean_parent.downloads")


@pytest.mark.usefixtures("library")
def test_unused_modules_stay_unloaded() -> None:
    """Until one is called; then it is the real one that answers."""
    module = import_without("lean_library", UNUSED)
    assert not set(UNUSED) & set(sys.modules)
    assert module.show(3) == "###"
    assert module.download("a") == ["a", "a"]
    import lean_parent.downloads  # type: ignore[import-not-found]

    assert lean_parent.downloads.fetch("b", 1) == ["b"]
    assert module.download("a") == ["a", "a"]


@pytest.mark.usefixtures("library")
def test_loaded_modules_are_used_as_they_are() -> None:
    """By name, not by a stand-in."""
    import lean_bars  # type: ignore[import-not-found]

    module = import_without("lean_library", UNUSED)
    assert module.bar is lean_bars.bar
    assert sys.modules["lean_bars"] is lean_bars
    assert import_without("lean_library", UNUSED) is module


@pytest.mark.usefixtures("library")
def test_an_import_that_fails_leaves_nothing_behind() -> None:
    """The stand-ins go, whatever happens."""
    with pytest.raises(ImportError):
        import_without("lean_no_such_library", UNUSED)
    assert not set(UNUSED) & set(sys.modules)


@pytest.mark.usefixtures("library")
def test_threads_get_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while another one is importing it waits."""
    pause = ModuleType("lean_pause")
    pause.begun, pause.go = begun, go = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lean_pause", pause)
    slow = "import lean_pause\nlean_pause.begun.set()\nlean_pause.go.wait(10)\n"
    (tmp_path / "lean_library.py").write_text(slow + LIBRARY, "utf-8")
    whole = []

    def use() -> None:
        whole.append(hasattr(import_without("lean_library", UNUSED), "show"))

    first, second = threading.Thread(target=use), threading.Thread(target=use)
    first.start()
    assert begun.wait(10)
    second.start()
    second.join(0.2)
    go.set()
    first.join(10)
    second.join(10)
    assert whole == [True, True]
    assert not set(UNUSED) & set(sys.modules)


@pytest.mark.usefixtures("library")
def test_beside_other_threads_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """For they may import the same at the same time, and would keep a stand-in."""
    monkeypatch.setattr(lean_import, "only_thread", only_thread)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        import_without("lean_library", UNUSED)
    finally:
        done.set()
        other.join()
    assert set(UNUSED) <= set(sys.modules)


def test_usearch_still_has_its_progress_bar(tmp_path: Path) -> None:
    """A program that uses usearch itself, beside this package, gets all of it."""
    program = """
import sys
import numpy as np
from edge_runtime.usearch_index import UNUSED
from edge_runtime.lean_import import import_without
usearch = import_without("usearch.index", UNUSED)
print(sorted(set(sys.modules) & {"tqdm", "urllib.request", "ssl", "http.client"}))
index = usearch.Index(ndim=4)
index.add(np.arange(3), np.ones((3, 4), np.float32), log="adding")
import urllib.request
print(len(index), "tqdm" in sys.modules, callable(urllib.request.urlopen))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["[]", "3 True True"]
    assert "adding" in done.stderr
