"""Inside of large files: the system's rsync, over the same ssh, sends what differs from an older edition.

It is tried, never needed. Where it is missing, on either side, is refused, ends early or makes something
else, the device says that it lacks the file yet, and the file goes whole as it would have anyway.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from build_tools.errors import LineError
from build_tools.flash import connection
from build_tools.flash.source import Source
from build_tools.flash.targets import SshTarget
from edge_runtime.manifest import FileEntry
from edge_runtime.store.messages import MAX_STILLS, STILL_SECONDS

PROGRAM = "rsync"

_OPTIONS = (
    *("--recursive", "--copy-links"),  # a folder of links, whose names are those that the device gave
    *("--ignore-times", "--no-whole-file", "--compress"),
    "--no-inplace",  # the older edition there is the installed file itself, under a second name
    *("-s", "--timeout=60", "--stats"),  # -s: no shell there reads the folder's name
)
_SENT = re.compile(rb"^Total bytes sent: ([0-9][0-9,.]*)$", re.MULTILINE)


def available() -> bool:
    """Whether this computer has rsync."""
    return shutil.which(PROGRAM) is not None


class Delta:
    """rsync to one device, once: after that, a line that broke goes on with whole files, from where it was.

    Attributes:
        tried: whether it was started.
        sent: bytes, as rsync counts them; 0 where it did not come to its count.
        problem: why it failed, on one line; empty where it did not.
    """

    def __init__(self, target: SshTarget, *, still_seconds: float = STILL_SECONDS) -> None:
        self.tried, self.sent, self.problem = False, 0, ""
        self._target, self._still_seconds = target, still_seconds
        self._guard = threading.Lock()
        self._over = False
        self._process: subprocess.Popen[bytes] | None = None

    def bring(
        self, source: Source, entries: Sequence[FileEntry], folder: str, *, still: Callable[[], object]
    ) -> None:
        """Has rsync make these files of what lies in a folder of the device; `problem` says if it could not.

        Args:
            folder: absolute; each file is called by its sha256 there.
            still: called now and then while it runs; what it raises ends rsync and comes through.

        Raises:
            LineError: `end` was called.
        """
        self.tried = True
        with (
            tempfile.TemporaryDirectory(prefix="edge-delta-") as links,
            tempfile.TemporaryFile() as counts,
            tempfile.TemporaryFile() as errors,
        ):
            for entry in entries:
                Path(links, entry.sha256).symlink_to(source.path(entry).absolute())
            process = self._start(command(self._target, links, folder), counts, errors)
            if process is None:
                return
            try:
                self._wait(process, still)
            finally:
                self._kill(process)
            counts.seek(0)
            found = _SENT.search(counts.read())
            self.sent = int(re.sub(rb"[^0-9]", b"", found[1])) if found else 0
            if process.returncode:
                said = connection.last_words(errors)
                self.problem = f"{PROGRAM} ended with status {process.returncode}{said}"

    def end(self) -> None:
        """Ends it if it runs, and lets it not begin. May be called from another thread."""
        with self._guard:
            self._over = True
            if self._process is not None:
                self._kill(self._process)

    def _start(
        self, arguments: Sequence[str], counts: IO[bytes], errors: IO[bytes]
    ) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._over:
                raise LineError("interrupted")
            try:
                # A group of its own, with the ssh that it starts: both are ended together.
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=counts,
                    stderr=errors,
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                self.problem = f"{PROGRAM}: {error.strerror}"
            return self._process

    def _wait(self, process: subprocess.Popen[bytes], still: Callable[[], object]) -> None:
        """Until it ends; one that does not in all that time is left to be killed."""
        for _ in range(MAX_STILLS - 1):
            try:
                process.wait(timeout=self._still_seconds)
            except subprocess.TimeoutExpired:
                still()
            else:
                return

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def command(target: SshTarget, links: str, folder: str) -> list[str]:
    """What sends a folder of links here to a folder there; ssh asks nobody, for it was asked already."""
    user = ["-l", target.user] if target.user else []
    shell = shlex.join([*connection.ssh_options(target, unattended=True), *user, "--"])
    host = f"[{target.host}]" if ":" in target.host else target.host
    return [PROGRAM, *_OPTIONS, "-e", shell, "--", f"{links}/", f"{host}:{folder}/"]


def _environment() -> dict[str, str]:
    """Without what would change rsync's ways, and in a language that can be read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
    return {**kept, "LC_ALL": "C"}
