"""Runs a shell script on a device that ssh reaches, with the store's path as ``$root``."""

from __future__ import annotations

import subprocess
from typing import IO

from build_tools.errors import FlashError, LineError
from build_tools.flash.connection import FIND_ROOT, SSH_FAILED, remote, ssh
from build_tools.flash.targets import SshTarget
from edge_runtime.terminal import printable


class StatusError(FlashError):
    """A script on the device ended with another status than 0."""


def run(
    target: SshTarget,
    script: str,
    *arguments: str,
    failing: str,
    unattended: bool,
    stdin: IO[bytes] | None = None,
) -> bytes:
    """What the script wrote.

    Args:
        failing: what cannot be done if it fails; begins the error.
        unattended: ssh must ask nobody for anything.

    Raises:
        StatusError: it failed; the last line that it complained with is in the error.
        LineError: the line broke.
        FlashError: this computer has no ssh.
    """
    command = [
        *ssh(target, unattended=unattended),
        remote(FIND_ROOT + script, target.root or "", *arguments),
    ]
    given = subprocess.DEVNULL if stdin is None else stdin
    try:
        done = subprocess.run(command, stdin=given, capture_output=True, check=False)
    except OSError as error:
        raise FlashError(f"ssh: {error.strerror}; install it") from None
    lines = [printable(line) for line in done.stderr.decode("utf-8", "replace").split("\n") if line.strip()]
    said = lines[-1][:400] if lines else f"status {done.returncode}"
    if done.returncode == SSH_FAILED:
        raise LineError(f"the line broke, or never stood: {said}")
    if done.returncode:
        raise StatusError(f"{failing}: {said}")
    return done.stdout
