"""All targets at once, each on its own: what one lacks or refuses is no other's business.

Until a device is told to activate, it answers with what it had. So an interruption stops the lines and
leaves every device with its old bundle, but for those that were done by then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from build_tools.errors import FlashError, LineError
from build_tools.flash import connection, service, stick
from build_tools.flash.bootstrap import Bootstrap
from build_tools.flash.connection import Connection
from build_tools.flash.delta import Delta, available
from build_tools.flash.source import Source
from build_tools.flash.targets import SshTarget, StickTarget, StoreTarget, Target
from build_tools.flash.transfer import Progress, transfer
from edge_runtime.errors import Error

State = Literal["installed", "nothing", "copied", "failed", "interrupted"]

PAUSE_SECONDS = 5.0
"""Before a line that broke is tried again."""

_AWAKE_SECONDS = 0.1  # between two looks for a signal


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is asked of the devices, as ``edge-runtime install`` has it, and of the lines.

    Attributes:
        retries: of a line that broke after it had stood.
        delta: where ssh reaches a device, have rsync send only what differs inside of large files.
        service: set up the service that proves bundles when a device starts, where ssh reaches it.
        jobs: targets at a time.
    """

    allow_downgrade: bool = False
    self_test: bool = True
    tries: int = 0
    retries: int = 2
    delta: bool = True
    service: bool = False
    jobs: int = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one target.

    Attributes:
        state: ``nothing``: it had this very bundle already; ``copied``: to a stick.
        detail: what it did, or why it failed, on one line.
        sent: all bytes that went to it, those of broken lines included, but of an rsync that did not end.
        seconds: it took, by the clock.
    """

    target: str
    state: State
    detail: str
    sent: int
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the target has not what it should have."""
        return self.state in ("failed", "interrupted")


def flash(
    source: Source,
    targets: Sequence[Target],
    conditions: Conditions,
    *,
    progress: Callable[[str], Progress],
    bootstrap: Bootstrap | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> Sequence[Result]:
    """Brings a bundle to all targets and says what came of each, in their order.

    Ctrl-C stops what is not done, and is one of the results.

    Args:
        progress: gives for a target's label what is told of its steps, from a thread of its own.
        bootstrap: brings the runtime itself to devices that ssh reaches, before the bundle.
        pause_seconds: before a line that broke is tried again.
    """
    unattended = len(targets) > 1
    workers = [
        _Worker(source, target, conditions, progress(target.label), unattended, bootstrap, pause_seconds)
        for target in targets
    ]
    with ThreadPoolExecutor(max_workers=min(len(workers), conditions.jobs)) as pool:
        futures: list[Future[Result]] = [pool.submit(worker.run) for worker in workers]
        try:
            # Not for ever: Linux may give Ctrl-C to another thread, which would not wake this one.
            while wait(futures, timeout=_AWAKE_SECONDS).not_done:
                pass
        except KeyboardInterrupt:
            for worker in workers:
                worker.stop()
        return [future.result() for future in futures]


class _Worker:
    """One target, from the first connection to its result."""

    def __init__(
        self,
        source: Source,
        target: Target,
        conditions: Conditions,
        progress: Progress,
        unattended: bool,
        bootstrap: Bootstrap | None,
        pause_seconds: float,
    ) -> None:
        self._source, self._target, self._conditions = source, target, conditions
        self._progress, self._unattended, self._pause = progress, unattended, pause_seconds
        self._bootstrap = bootstrap
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._connection: Connection | None = None
        self._delta = (
            Delta(target) if isinstance(target, SshTarget) and conditions.delta and available() else None
        )
        self._sent = 0

    def run(self) -> Result:
        begun = time.monotonic()
        try:
            state, detail = self._bring()
        except Error as error:
            state, detail = "failed", str(error)
        except OSError as error:  # the bundle cannot be read any more, or there is no room for a copy
            state, detail = "failed", f"{error.filename or 'here'}: {error.strerror}"
        if self._stopped.is_set() and state == "failed":
            state, detail = "interrupted", "it has what it had; what was sent is kept for the next time"
        return Result(self._target.label, state, detail, self._sent, time.monotonic() - begun)

    def stop(self) -> None:
        """Ends the line, and lets none begin."""
        with self._guard:
            self._stopped.set()
            if self._delta is not None:
                self._delta.end()
            if self._connection is not None:
                self._connection.end()

    def _bring(self) -> tuple[State, str]:
        if isinstance(self._target, StickTarget):
            return self._copy(self._target)
        if self._bootstrap and isinstance(self._target, SshTarget):
            self._progress("bootstrap", 0, 0)
            self._sent += self._bootstrap.bring(self._target, unattended=self._unattended)
        state, detail = self._flash(self._target)
        if self._conditions.service and isinstance(self._target, SshTarget):
            self._progress("service", 0, 0)
            detail += f"; {self._serve(self._target, detail)}"
        return state, detail

    def _serve(self, target: SshTarget, done: str) -> str:
        """After the bundle: a device that gets no service has it nevertheless."""
        try:
            return service.install(target, unattended=self._unattended)
        except Error as error:
            raise FlashError(f"{done}; but {error}") from None

    def _flash(self, target: SshTarget | StoreTarget) -> tuple[State, str]:
        attempts = self._conditions.retries if isinstance(target, SshTarget) else 0
        for _ in range(attempts):
            try:
                return self._attempt(target)
            except _BrokenOnceItStoodError:
                self._progress("wait", 0, 0)
                self._stopped.wait(self._pause)
        return self._attempt(target)

    def _copy(self, target: StickTarget) -> tuple[State, str]:
        def told(done: int, total: int) -> None:
            self._sent = done
            self._progress("copy", done, total)
            if self._stopped.is_set():
                raise LineError("interrupted")

        path = stick.write(self._source, target.folder, progress=told)
        return "copied", f"on the device: edge-runtime install {path.name}"

    def _attempt(self, target: SshTarget | StoreTarget) -> tuple[State, str]:
        """Once more without rsync where the device's runtime is too old to hear of it."""
        delta = self._delta if self._delta is not None and not self._delta.tried else None
        if delta is None:
            return self._converse(target, None)
        try:
            return self._converse(target, delta)
        except connection.UsageError:
            with self._guard:
                self._delta = None
            return self._converse(target, None)

    def _converse(self, target: SshTarget | StoreTarget, delta: Delta | None) -> tuple[State, str]:
        arguments = [*self._arguments(target), *(["--delta"] if delta else [])]
        command = connection.command(target, arguments, unattended=self._unattended)
        with self._guard:
            if self._stopped.is_set():
                raise LineError("interrupted")
            line = self._connection = Connection(command, environment=connection.environment(target))
        with line:
            try:
                done = transfer(line, self._source, progress=self._progress, delta=delta)
            except LineError as error:
                raise (_BrokenOnceItStoodError if line.answered else LineError)(str(error)) from None
            finally:
                self._sent += line.sent + (delta.sent if delta else 0)
        if done.done == "nothing":
            return "nothing", f"{done.bundle} is installed already, as built"
        detail = f"{done.bundle}" + (f"; before it {done.previous}" if done.previous else "")
        problem = self._delta.problem if self._delta is not None else ""
        return "installed", detail + (f"; files went whole: {problem}" if problem else "")

    def _arguments(self, target: SshTarget | StoreTarget) -> Sequence[str]:
        asked = self._conditions
        elsewhere = isinstance(target, StoreTarget) and target.other
        arguments = ["receive"]
        arguments += ["--allow-downgrade"] if asked.allow_downgrade else []
        arguments += ["--no-self-test"] if elsewhere or not asked.self_test else []
        return [*arguments, "--tries", str(asked.tries)] if asked.tries else arguments


class _BrokenOnceItStoodError(LineError):
    """The device had answered, so the same may work again."""
