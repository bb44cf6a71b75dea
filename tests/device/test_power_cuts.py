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
ENDED = "ended"

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


def cut(
    board: Board, runtime: Runtime, step: str, request: pytest.FixtureRequest, *, ended: bool = False
) -> None:
    """At some moment of a step: the bundle before or the new one answers; behind the end, the new one."""
    before = board.version
    source, after = (NEW, "1.1.0") if before == "1.0.0" else (runtime.bundle, "1.0.0")
    moment = random.Random(request.node.name).uniform(0, 0.2)
    board.cut(source, step, 0 if ended else moment)
    assert board.version in ({after} if ended else {before, after})


# Two classes, for `make test-device` has a process, and so a board, for each.
class TestWhileItArrives:
    """Cuts while the new bundle is written, named and read back."""

    @pytest.mark.parametrize("step", [Step.STAGE.value, Step.PUBLISH.value, Step.READ_BACK.value] * CUTS_EACH)
    def test_a_power_cut(
        self, board: Board, runtime: Runtime, step: str, request: pytest.FixtureRequest
    ) -> None:
        """At some moment of the step."""
        cut(board, runtime, step, request)


class TestWhileItIsTakenIntoUse:
    """Cuts while it is tried and switched to, and right behind that."""

    @pytest.mark.parametrize("step", [Step.SELF_TEST.value, Step.ACTIVATE.value] * CUTS_EACH)
    def test_a_power_cut(
        self, board: Board, runtime: Runtime, step: str, request: pytest.FixtureRequest
    ) -> None:
        """At some moment of the step."""
        cut(board, runtime, step, request)

    def test_a_power_cut_at_the_end(
        self, board: Board, runtime: Runtime, request: pytest.FixtureRequest
    ) -> None:
        """What was said to be installed is."""
        cut(board, runtime, ENDED, request, ended=True)

    def test_the_next_install_works(self, board: Board, runtime: Runtime) -> None:
        """With its self-test; what cuts have left is cleaned up."""
        board.close()
        runtime.command("install", NEW)
        board.start()
        assert board.version == "1.1.0"
        assert runtime.machine.run("ls", "/var/lib/edge-runtime/staging").stdout == ""


def test_cuts_are_in_every_step_that_writes() -> None:
    """The first one does not."""
    steps = {Step.STAGE, Step.READ_BACK, Step.SELF_TEST, Step.PUBLISH, Step.ACTIVATE}
    assert set(Step) == steps | {Step.CHECK}
