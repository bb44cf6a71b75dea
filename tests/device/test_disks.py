"""A board whose disk is full, or read-only as a worn SD card becomes: what is installed answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

pytestmark = pytest.mark.device

NEWER = "/data"

FILL = """
import os, sys
space = os.statvfs("/")
with open("/filler", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def board(runtime: Runtime) -> Iterator[Runtime]:
    """On, with the tiny bundle installed, and a newer one beside the store."""
    with runtime.machine.powered(Hardware("cortex-a72", memory_mb=256)):
        runtime.empty_store()
        runtime.machine.run("cp", "-r", runtime.bundle, "/data")
        runtime.machine.run("sed", "-i", "s/^version: .*/version: 1.2.0/", f"{NEWER}/manifest.yaml")
        runtime.command("install", runtime.bundle, "--allow-downgrade", "--no-self-test")
        yield runtime


SEARCH = """
import edge_runtime
with edge_runtime.open("tiny", verify="full", encoder="static") as retriever:
    print(retriever.search("yeast and dough")[0].key)
"""


def answers(board: Runtime) -> bool:
    """Whether what is installed is whole, and finds something."""
    return board.python(SEARCH).stdout.startswith("bread")


def refusal(board: Runtime, *command: str) -> str:
    """The one line of an error of ours."""
    done = board.command(*command, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("left", [20 << 20, 0])
def test_a_full_disk(board: Runtime, left: int) -> None:
    """An install says what it needs before it writes, and what is there goes on answering."""
    board.python(FILL, str(left))
    try:
        assert "MB to spare" in refusal(board, "install", NEWER)
        assert answers(board)
    finally:
        board.machine.run("rm", "/filler")


def test_a_read_only_disk(board: Runtime) -> None:
    """Searching needs no writing; what does says why it cannot."""
    board.machine.run("mount", "-o", "remount,ro", "/")
    try:
        assert answers(board)
        for command in (("install", NEWER), ("prune",), ("calibrate", "tiny", "-n", "1")):
            assert "Read-only file system" in refusal(board, *command)
    finally:
        board.machine.run("mount", "-o", "remount,rw", "/")
