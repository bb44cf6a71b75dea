"""The programs of this computer that build and run the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from emulator.errors import EmulatorError, UnavailableError

RUN: Mapping[str, str] = {
    "qemu-system-aarch64": "qemu-system-arm",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "mke2fs": "e2fsprogs",
    "setpriv": "util-linux",
}
BUILD: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "cpio": "cpio",
    "depmod": "kmod",
    "modprobe": "kmod",
    "ssh-keygen": "openssh-client",
}
"""Programs, and the Debian packages that they come in; those of `BUILD` make the image, once."""

_TAIL = 3


def require(*groups: Mapping[str, str]) -> None:
    """Makes sure that the programs are there.

    Raises:
        UnavailableError: some are not; the message has the command that installs them.
    """
    if found := missing(*groups):
        raise UnavailableError(
            f"the emulated device needs programs that are not here: apt-get install {' '.join(found)}"
        )


def require_root() -> None:
    """Only root may own the files of a root disk.

    Raises:
        UnavailableError: this is another user.
    """
    if os.geteuid() != 0:
        raise UnavailableError("the emulated device's image is not built yet, and building it takes root")


def missing(*groups: Mapping[str, str]) -> tuple[str, ...]:
    """The Debian packages to install."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    packages = (
        package
        for group in groups
        for program, package in group.items()
        if not shutil.which(program, path=path)
    )
    return tuple(sorted(set(packages)))


def install(packages: Sequence[str]) -> None:
    """Installs Debian packages from this computer's own sources, as root.

    Raises:
        UnavailableError: without apt or root, or apt could not.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(f"installing {' '.join(packages)} takes root and apt-get")
    update = ["apt-get", "update", "-qq"]
    call(update, about="apt-get update", error=UnavailableError)
    command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
    call(command, about=f"apt-get install {' '.join(packages)}", error=UnavailableError)


def call(
    command: Sequence[str | os.PathLike[str]],
    *,
    about: str,
    error: type[EmulatorError] = EmulatorError,
    stdin: str | None = None,
) -> str:
    """Runs a program of this computer; returns what it printed.

    Args:
        about: what it is done for, to begin an error with.
        error: what to raise.

    Raises:
        EmulatorError: it cannot be started or failed; the message ends with the last lines of its stderr.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as problem:
        raise error(f"{about}: {problem.filename} cannot be run ({problem.strerror})") from None
    if done.returncode != 0:
        raise error(f"{about}: status {done.returncode}{tail(done.stderr)}")
    return done.stdout


def tail(stderr: str) -> str:
    """The last lines, for the end of a message."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f": {' / '.join(lines[-_TAIL:])}" if lines else ""
