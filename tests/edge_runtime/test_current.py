"""A retriever that stays while its bundle is replaced: by `reload`, or by itself with ``follow``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import edge_runtime
from edge_runtime import Retriever, current
from edge_runtime import manifest as manifests
from edge_runtime.errors import BundleError, ClosedError, DeviceWarning
from edge_runtime.gate import Gate
from edge_runtime.parts import Parts
from edge_runtime.source import Source
from edge_runtime.store.install import install
from edge_runtime.store.prune import prune
from edge_runtime.store.switch import rollback

Put = Callable[[str], Path]


@pytest.fixture
def put(bundle: Path, tmp_path: Path, home: Path) -> Put:
    """Installs the tiny bundle under another version; returns its directory."""

    def installed(version: str) -> Path:
        copy = Path(shutil.copytree(bundle, tmp_path / version, dirs_exist_ok=True))
        path = copy / manifests.FILENAME
        path.write_bytes(path.read_bytes().replace(b"\nversion: 1.0.0", b"\nversion: " + version.encode()))
        return home / "bundles/tiny" / install(copy, self_test=None, allow_downgrade=True).bundle

    return installed


def settled(retriever: Retriever) -> None:
    """Waits until no thread of ours is opening anything."""
    for thread in threading.enumerate():
        if thread.name == "edge-runtime reload":
            thread.join()
    assert retriever.search("yeast and dough")


def settled_twice(retriever: Retriever) -> None:
    """The first search finds what is new, the second one what has come of it."""
    settled(retriever)
    settled(retriever)


def test_reload(put: Put) -> None:
    """The new bundle answers from then on, and the old one is let go; without a new one nothing happens."""
    put("1.1.0")
    with edge_runtime.open("tiny") as retriever:
        before = retriever.search("yeast and dough")
        assert not retriever.reload()
        put("1.2.0")
        assert retriever.search("yeast and dough") == before
        assert retriever.info().version == "1.1.0"
        assert retriever.reload()
        assert not retriever.reload()
        assert retriever.info().version == "1.2.0"
        assert retriever.search("yeast and dough") == before
        assert [one.removed != () for one in prune(keep=1)] == [True]
        assert not retriever.reload()


def test_reload_goes_back_too(put: Put) -> None:
    """After a rollback the old one is the other one."""
    put("1.1.0")
    put("1.2.0")
    with edge_runtime.open("tiny") as retriever:
        rollback("tiny")
        assert retriever.reload()
        assert retriever.info().version == "1.1.0"


def test_a_directory(bundle_copy: Path, tmp_path: Path) -> None:
    """That is replaced by another is noticed as well."""
    with edge_runtime.open(bundle_copy) as retriever:
        assert not retriever.reload()
        new = Path(shutil.copytree(bundle_copy, tmp_path / "new"))
        bundle_copy.rename(tmp_path / "old")
        new.rename(bundle_copy)
        assert retriever.reload()
        assert retriever.search("yeast and dough")


def test_follow(put: Put) -> None:
    """The search that finds another bundle is answered by the old one; soon the new one answers."""
    put("1.1.0")
    with edge_runtime.open("tiny", follow=True) as retriever:
        before = retriever.search("yeast and dough")
        put("1.2.0")
        assert retriever.search("yeast and dough") == before
        settled(retriever)
        assert retriever.info().version == "1.2.0"
        assert retriever.search("yeast and dough") == before


def test_without_follow_nothing_happens(put: Put) -> None:
    """Until somebody says so."""
    put("1.1.0")
    with edge_runtime.open("tiny") as retriever:
        put("1.2.0")
        settled(retriever)
        assert retriever.info().version == "1.1.0"


def test_a_new_bundle_that_does_not_open(put: Put) -> None:
    """The old one goes on: `reload` says why, and a follower warns, once."""
    put("1.1.0")
    with edge_runtime.open("tiny") as asked, edge_runtime.open("tiny", follow=True) as following:
        damaged = put("1.2.0") / "dense.usearch"
        damaged.unlink()
        with pytest.raises(BundleError, match=r"dense\.usearch: missing"):
            asked.reload()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            following.search("yeast and dough")
            settled_twice(following)
        (warning,) = caught
        assert warning.category is DeviceWarning
        assert "missing" in str(warning.message)
        assert str(warning.message).endswith("the bundle that was open goes on answering")
        for retriever in (asked, following):
            assert retriever.search("yeast and dough")
            assert retriever.info().version == "1.1.0"
        put("1.3.0")
        assert asked.reload()
        settled_twice(following)
        assert following.info().version == "1.3.0"


def test_a_bundle_that_is_gone(put: Put, home: Path) -> None:
    """It is open, so it answers; `reload` says that there is none."""
    put("1.1.0")
    with edge_runtime.open("tiny") as retriever:
        (home / "bundles/tiny/current").unlink()
        with pytest.raises(BundleError, match="no such bundle"):
            retriever.reload()
        assert retriever.search("yeast and dough")


def test_a_follower_of_a_bundle_that_is_gone(put: Put, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told once, and does not look with every search."""
    put("1.1.0")
    clock, tried = [0.0], []
    usual = Source.open
    with edge_runtime.open("tiny", follow=True) as following:
        (home / "bundles/tiny/current").unlink()
        monkeypatch.setattr(current.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(Source, "open", lambda source: tried.append(clock[0]) or usual(source))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for clock[0] in (0.0, 0.5, 1.0, 2.0, 3.0):
                settled_twice(following)
        assert ["no such bundle" in str(each.message) for each in caught] == [True]
    assert tried == [0.0, 1.0, 3.0]


def test_after_close(put: Put) -> None:
    """Nothing is opened again."""
    put("1.1.0")
    retriever = edge_runtime.open("tiny", follow=True)
    retriever.close()
    retriever.close()
    put("1.2.0")
    for call in (retriever.reload, lambda: retriever.search("yeast")):
        with pytest.raises(ClosedError):
            call()
    assert retriever.info().version == "1.1.0"


def test_closed_in_the_middle_of_a_reload(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal handler, in the thread that reloads: neither hangs, and nothing stays open."""
    put("1.1.0")
    retriever = edge_runtime.open("tiny")
    put("1.2.0")
    opened = []
    usual = Source.open

    def interrupted(source: Source) -> Parts:
        retriever.close()
        opened.append(usual(source))
        return opened[-1]

    monkeypatch.setattr(Source, "open", interrupted)
    with pytest.raises(ClosedError):
        retriever.reload()
    assert [parts.gate.is_open for parts in opened] == [False]
    with pytest.raises(ClosedError):
        retriever.search("yeast and dough")


def test_a_reload_in_the_middle_of_a_reload(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal handler: what it has opened is newer, and stays."""
    put("1.1.0")
    with edge_runtime.open("tiny") as retriever:
        put("1.2.0")
        usual = Source.open

        def interrupted(source: Source) -> Parts:
            opened = usual(source)
            monkeypatch.setattr(Source, "open", usual)
            put("1.3.0")
            assert retriever.reload()
            return opened

        monkeypatch.setattr(Source, "open", interrupted)
        assert retriever.reload()
        assert retriever.info().version == "1.3.0"
        assert not retriever.reload()


def test_closed_in_a_search_while_another_is_opened(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal handler in the search, for which the thread that opens waits: neither waits for ever."""
    put("1.1.0")
    retriever = edge_runtime.open("tiny", follow=True)
    usual, swapped = Gate.shut, threading.Event()

    def shut(gate: Gate, free: Callable[[], object]) -> None:
        swapped.set()
        usual(gate, free)

    monkeypatch.setattr(Gate, "shut", shut)
    with retriever._current.answering():
        put("1.2.0")
        assert retriever.search("yeast and dough")  # has a thread open the new one
        assert swapped.wait(60)
        retriever.close()
    for thread in threading.enumerate():
        if thread.name == "edge-runtime reload":
            thread.join()
    with pytest.raises(ClosedError):
        retriever.search("yeast and dough")


def test_a_follower_whose_warnings_are_errors(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries no more often for it, nor for a fault that is none of ours."""
    put("1.1.0")
    tried: list[Source] = []

    def out_of_memory(source: Source) -> Parts:
        tried.append(source)
        raise MemoryError

    with edge_runtime.open("tiny", follow=True) as following:
        (put("1.2.0") / "dense.usearch").unlink()
        monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeviceWarning)
            settled_twice(following)
        monkeypatch.setattr(Source, "open", out_of_memory)
        settled_twice(following)
        assert not tried
        put("1.3.0")
        settled_twice(following)
        settled_twice(following)
        assert len(tried) == 1


FORKED = """
import os, sys, threading
import edge_runtime
from edge_runtime.source import Source

usual, opening, go = Source.open, threading.Event(), threading.Event()

def slow(source):
    opening.set()
    go.wait()
    return usual(source)

retriever = edge_runtime.open("tiny", follow=True)
os.replace(sys.argv[1], sys.argv[2])
Source.open = slow
retriever.search("yeast")  # has a thread open the other
opening.wait()
child = os.fork()
if not child:
    Source.open = usual
    os._exit(0 if retriever.reload() and retriever.info().version == "1.1.0" else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
go.set()
"""


def test_a_fork_while_a_follower_opens_another(put: Put, home: Path) -> None:
    """The child has no thread that would end it, and opens it by itself."""
    put("1.1.0")
    put("1.2.0")
    links = [str(home / "bundles/tiny" / name) for name in ("previous", "current")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, *links], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["0"], "")


def test_what_did_not_open_once_may_open_later(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reload` tries whenever it is asked, a follower after a while."""
    put("1.1.0")
    with edge_runtime.open("tiny") as asked, edge_runtime.open("tiny", follow=True) as following:
        new = put("1.2.0")
        (new / "dense.usearch").rename(new / "later")
        with pytest.raises(BundleError, match=r"dense\.usearch: missing"):
            asked.reload()
        with pytest.warns(DeviceWarning, match=r"dense\.usearch: missing"):
            settled_twice(following)
        (new / "later").rename(new / "dense.usearch")
        assert asked.reload()
        assert asked.info().version == "1.2.0"
        clock = time.monotonic()
        monkeypatch.setattr(current.time, "monotonic", lambda: clock + 1000)
        settled_twice(following)
        assert following.info().version == "1.2.0"


def test_a_follower_waits_longer_each_time(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not open is tried less and less often, and told once."""
    put("1.1.0")
    clock, tried = [0.0], []
    usual = Source.open
    with edge_runtime.open("tiny", follow=True) as following:
        (put("1.2.0") / "dense.usearch").unlink()
        monkeypatch.setattr(current.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(Source, "open", lambda source: tried.append(clock[0]) or usual(source))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for second in range(9):
                clock[0] = float(second)
                following._current._look()
                settled(following)
        assert len(caught) == 1
    assert tried == [0.0, 1.0, 3.0, 7.0]


def test_searches_while_it_is_replaced(put: Put) -> None:
    """Threads that never stop asking get every answer, from the old bundle or from the new one."""
    versions = ("1.1.0", "1.2.0", "1.3.0")
    put(versions[0])
    with edge_runtime.open("tiny", follow=True) as retriever:
        expected = retriever.search("yeast and dough")
        stop, wrong, answered = threading.Event(), [], []

        def ask() -> None:
            while not stop.is_set():
                try:
                    found = retriever.search("yeast and dough")
                except Exception as error:
                    wrong.append(error)
                    return
                (answered if found == expected else wrong).append(found)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in versions[1:]:
            put(version)
            while retriever.info().version != version:
                stop.wait(0.01)
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(answered) > 4
