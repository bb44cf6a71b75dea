"""Readers open a bundle by name while it is replaced, rolled back and pruned under them."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from edge_runtime.store import switch
from edge_runtime.store.install import install
from edge_runtime.store.opening import open_bundle
from edge_runtime.store.prune import prune


def read_on(stop: Event, found: Queue[str]) -> None:
    """Opens and hashes the bundle until it is told to stop; tells the versions, or the error."""
    versions = set()
    try:
        while not stop.is_set():
            bundle = open_bundle("tiny", verify="full")
            versions.add(bundle.manifest.version)
            bundle.close()
        found.put(",".join(sorted(versions)))
    except BaseException as error:
        found.put(repr(error))


def test_readers_see_the_old_or_the_new_one(
    releases: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every opening succeeds, every byte is right, whatever happens meanwhile."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path))
    install(releases[0], self_test=None)
    context = multiprocessing.get_context("fork")
    stop, found = context.Event(), context.Queue()
    readers = [context.Process(target=read_on, args=(stop, found)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(4):
        install(releases[1], self_test=None)
        prune(keep=1)
        install(releases[0], self_test=None, allow_downgrade=True)
        install(releases[1], self_test=None)
        switch.rollback("tiny")
        prune(keep=1)
    stop.set()
    answers = [found.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert set(answers) <= {"1.0.0", "2.0.0", "1.0.0,2.0.0"}
