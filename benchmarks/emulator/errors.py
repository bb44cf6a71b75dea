"""What can go wrong with the emulated machine."""

from __future__ import annotations

from edge_runtime.errors import Error


class EmulatorError(Error):
    """The machine did not boot, did not answer, or a command on it failed."""


class UnavailableError(EmulatorError):
    """The computer cannot make the machine: a program, a right or a source of packages is missing."""
