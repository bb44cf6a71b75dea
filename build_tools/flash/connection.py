"""A device's ``edge-runtime receive``, at the other end of ssh or, for a store that is mounted, right here.

ssh is the system's own and decides about hosts, keys and jumps as its configuration says; the options here
only make a dead line end. On the device a POSIX shell looks for edge-runtime: in its own place, on the PATH
(which is short when nobody logs in), and in the environments of the README.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, NoReturn, cast

from build_tools.errors import FlashError, LineError
from build_tools.flash.targets import SshTarget, StoreTarget
from edge_runtime.store.messages import MAX_LINE, Failed, M, Message, MessageError, decode, encode
from edge_runtime.terminal import printable

NOT_FOUND, SSH_FAILED, USAGE = 127, 255, 2
"""Statuses: of the shell there, of ssh itself, and of an edge-runtime without this command."""

FIND_ROOT = """\
root=$1; shift
if [ -n "$root" ]; then :
elif [ -n "${EDGE_RUNTIME_HOME:-}" ]; then root=$EDGE_RUNTIME_HOME
elif [ "$(id -u)" = 0 ]; then root=/var/lib/edge-runtime
else root=${XDG_DATA_HOME:-$HOME/.local/share}/edge-runtime; fi
"""
"""Shell: `root` is the store, as `edge_runtime.home` finds it, if $1 is empty."""

_RUN = """\
EDGE_RUNTIME_HOME=$root; export EDGE_RUNTIME_HOME
for program in "$root/runtime/current/bin/edge-runtime" "$(command -v edge-runtime)" \\
    "$HOME/.local/bin/edge-runtime" "$HOME/edge/bin/edge-runtime"; do
  if [ -x "$program" ]; then exec "$program" "$@"; fi
done
exit 127
"""

_HERE = "import sys; from edge_runtime.cli import main; sys.exit(main())"
_LAST_WORDS = 2000
_MESSAGES = 100
_ENDING_SECONDS = 10.0

SILENCE_SECONDS = 1800.0
"""After these a device is taken for stuck: its longest silences are self-tests, of two minutes an encoder."""


class UsageError(FlashError):
    """An edge-runtime there does not know this command, or one of its options."""


class Connection:
    """A running program that speaks `edge_runtime.store.messages`; used as a context, it is ended.

    Attributes:
        sent: bytes given to it so far.
        answered: whether it ever said something that it may say.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Starts it.

        Args:
            silence_seconds: how long it may say nothing when something is to be heard.

        Raises:
            FlashError: there is no such program.
        """
        self.sent, self.answered = 0, False
        self._over = self._stuck = False
        self._silence_seconds = silence_seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the connection)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=None if environment is None else {**os.environ, **environment},
            )
        except OSError as error:
            self._errors.close()
            raise FlashError(f"{command[0]}: {error.strerror}; install it") from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._close_input()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def end(self) -> None:
        """Ends it if it still runs; the device keeps what it has. May be called from another thread."""
        self._over = True  # a program that it has started may still hold the line
        self._process.kill()
        self._process.wait()

    def send(self, message: Message) -> None:
        """One message. Raises `FlashError` with what the device says where it takes none."""
        self.write(encode(message))

    def write(self, data: bytes) -> None:
        """Bytes behind a message. Raises as `send` does."""
        assert self._process.stdin is not None
        if self._over:
            raise LineError("interrupted")
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            self._explain()
        self.sent += len(data)

    def receive(self, *kinds: type[M]) -> M:
        """The next message, which must be of one of these kinds.

        Raises:
            FlashError: the device says why it cannot, or something that does not belong here.
            LineError: the line broke.
        """
        line = self._line()
        if len(line) >= MAX_LINE:
            raise FlashError(
                f"not the answer of edge-runtime: more than {MAX_LINE} bytes without a line's end"
            )
        if not line.endswith(b"\n"):
            self._ended()
        try:
            found = decode(line, *kinds, Failed)
        except MessageError as error:
            hint = "if a start-up file of the shell there prints that, it must not without a terminal"
            raise FlashError(f"not the answer of edge-runtime: {printable(str(error))}; {hint}") from None
        if isinstance(found, Failed):
            raise FlashError(_shortened(found.error))
        self.answered = True
        return cast(M, found)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        patience = threading.Timer(self._silence_seconds, self._give_up)
        patience.daemon = True
        patience.start()
        try:
            return self._process.stdout.readline(MAX_LINE)
        finally:
            patience.cancel()

    def _give_up(self) -> None:
        self._stuck = True
        self.end()

    def _explain(self) -> NoReturn:
        """It takes no more: it has said why, or the line broke."""
        for _ in range(_MESSAGES):
            line = self._line()
            if not line.endswith(b"\n"):
                break
            try:
                failed = decode(line, Failed)
            except MessageError:
                continue
            raise FlashError(_shortened(failed.error))
        self._ended()

    def _ended(self) -> NoReturn:
        self._close_input()
        try:
            status = self._process.wait(timeout=_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            raise FlashError("edge-runtime there says no more and does not end") from None
        said = last_words(self._errors)
        if self._stuck:
            raise LineError(f"edge-runtime there said nothing for {self._silence_seconds:,.0f} s")
        if status == NOT_FOUND:
            raise FlashError("edge-runtime is not installed there; --bootstrap brings it")
        if status == USAGE:
            raise UsageError(
                f"edge-runtime there is too old to be flashed; --bootstrap brings this one{said}"
            )
        if status == SSH_FAILED or status < 0:
            raise LineError(f"the line broke, or never stood{said}")
        raise FlashError(f"edge-runtime there ended without an answer (status {status}){said}")

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # of what was never taken
            self._process.stdin.close()


def command(target: SshTarget | StoreTarget, arguments: Sequence[str], *, unattended: bool) -> list[str]:
    """What runs ``edge-runtime ARGUMENTS`` for a target's store.

    Args:
        unattended: ssh must ask nobody for anything, for several would ask at once.
    """
    if isinstance(target, StoreTarget):
        return [sys.executable, "-c", _HERE, *arguments]
    return [*ssh(target, unattended=unattended), remote(FIND_ROOT + _RUN, target.root or "", *arguments)]


def environment(target: SshTarget | StoreTarget) -> Mapping[str, str]:
    """What else a local program needs to know."""
    return {"EDGE_RUNTIME_HOME": str(target.root)} if isinstance(target, StoreTarget) else {}


def ssh(target: SshTarget, *, unattended: bool) -> list[str]:
    """The system's ssh, up to the command that it runs there."""
    host = f"{target.user}@{target.host}" if target.user else target.host
    return [*ssh_options(target, unattended=unattended), "--", host]


def ssh_options(target: SshTarget, *, unattended: bool) -> list[str]:
    """The same, up to the user and the host."""
    options = ["-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    options += ["-o", "BatchMode=yes"] if unattended else []
    options += ["-p", str(target.port)] if target.port else []
    return ["ssh", *options]


def remote(script: str, *arguments: str) -> str:
    """A shell script with arguments as one line, whatever shell the user there has."""
    return shlex.join(["sh", "-c", script, "edge-flash", *arguments])


def last_words(errors: IO[bytes]) -> str:
    """The last line of what a program complained about, behind a colon; empty where it did not."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - _LAST_WORDS))
    lines = errors.read().decode("utf-8", "replace").split("\n")
    return next((f": {_shortened(line)}" for line in reversed(lines) if line.strip()), "")


def _shortened(text: str) -> str:
    line = printable(text.strip())
    return line if len(line) <= 500 else line[:497] + "..."
