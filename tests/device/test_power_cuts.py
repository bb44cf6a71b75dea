"""Power cuts in the middle of installs: after each, the old bundle or the new one answers, whole.

QEMU is killed, so what the machine's kernel had not written to the disk is lost. A real drive may lose its
own cache as well; that is not emulated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

from edge_runtime.store.install import Step
from tests import versions

pytestmark = pytest.mark.device

HARDWARE = Hardware("cortex-a72")
NEW = "/data/new"
CUTS_EACH = 4
BOARDS = 2
"""Where several processes run the tests, as many boards share the cuts."""
ENDED = "ended"
STEPS = (*(step.value for step in Step if step is not Step.CHECK), ENDED)
"""The first step writes nothing."""

TURN = """
import sys
import edge_runtime
from edge_runtime.store.install import install
from edge_runtime.store.prune import prune
with edge_runtime.open("tiny", verify="full", encoder="static") as retriever:
    assert retriever.search("yeast and dough")
    print(retriever.info().version, flush=True)
source = sys.stdin.readline().strip()
prune("tiny", keep=1)  # or the other bundle would be here already
told = []
def tell(step, done, total):
    if step not in told:
        told.append(step)
        print(step.value, flush=True)
test = lambda bundle: None  # the golden queries write nothing, and take longer than all the rest
install(source, self_test=test, allow_downgrade=True, progress=tell)
print("ended", flush=True)
"""


class Board:
    """The machine, on, with a process that has said which version answers and waits to install another."""

    def __init__(self, device: Runtime) -> None:
        self._device = device
        self.start()

    def start(self) -> None:
        """Opens what is installed: all of its bytes are proven, and it does answer."""
        self._process = self._device.popen(TURN)
        assert self._process.stdout is not None
        self.version = self._process.stdout.readline().strip()

    def cut(self, source: str, step: str, delay: float) -> None:
        """Installs, cuts the power so many seconds into a step, and boots again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process as installing:
            installing.stdin.write(source + "\n")
            installing.stdin.flush()
            said = ""
            while (line := installing.stdout.readline().strip()) != step:
                said += line + "\n"
                assert installing.poll() is None, said
            time.sleep(delay)
            self._device.machine.cut_power()
        self._device.machine.boot(HARDWARE)
        self.start()

    def close(self) -> None:
        """Ends the process that waits."""
        with self._process as waiting:
            waiting.terminate()


@pytest.fixture(scope="module")
def board(runtime: Runtime, two_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """On, with version 1.0.0 installed; 1.1.0, with a file of 4 MB of its own, lies beside the store."""
    folder = versions.another(
        two_engines, tmp_path_factory.mktemp("new") / "bundle", "1.1.0", note="x" * (4 << 20)
    )
    runtime.machine.boot(HARDWARE)
    try:
        runtime.empty_store()
        runtime.command("install", runtime.bundle)
        runtime.machine.copy(folder, NEW)
        runtime.machine.run("sync")
        board = Board(runtime)
        yield board
        board.close()
    finally:
        runtime.machine.cut_power()


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, id=f"{step}-{turn}", marks=pytest.mark.xdist_group(f"power_cuts-{turn % BOARDS}"))
        for turn in range(CUTS_EACH)
        for step in STEPS
    ],
)
def test_a_power_cut_in_an_install(
    board: Board, runtime: Runtime, step: str, request: pytest.FixtureRequest
) -> None:
    """At each step, at some moment of it; once an install has ended, its bundle answers for good."""
    before = board.version
    source, after = (NEW, "1.1.0") if before == "1.0.0" else (runtime.bundle, "1.0.0")
    moment = random.Random(request.node.name).uniform(0, 0.2)
    board.cut(source, step, 0 if step == ENDED else moment)
    assert board.version in ({after} if step == ENDED else {before, after})


@pytest.mark.xdist_group(f"power_cuts-{(CUTS_EACH - 1) % BOARDS}")
def test_the_next_install_works(board: Board, runtime: Runtime) -> None:
    """With its self-test; what cuts have left is cleaned up."""
    board.close()
    runtime.command("install", NEW)
    board.start()
    assert board.version == "1.1.0"
    assert runtime.machine.run("ls", "/var/lib/edge-runtime/staging").stdout == ""
