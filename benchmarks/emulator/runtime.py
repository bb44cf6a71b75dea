"""The runtime on the machine: this project's wheel, the packages it requires, and a bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

from emulator import disk
from emulator.image import image
from emulator.machine import Machine
from emulator.packages import build_wheel, packages, unpack

_PACKAGES, _RUNTIME, _BUNDLE = (Machine.mount_point(place) for place in range(3))
_STORE = "/var/lib/edge-runtime"
_COMMAND = "import sys; from edge_runtime.cli import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A machine that has the runtime and one bundle, each on a disk that it cannot write.

    Attributes:
        bundle: the bundle's directory there.
    """

    machine: Machine
    bundle: str = _BUNDLE

    @classmethod
    def create(cls, bundle: Path, folder: Path) -> Runtime:
        """A new machine, which is off.

        Args:
            bundle: a directory of this computer.
            folder: an empty one, for the machine's disks.

        Raises:
            UnavailableError: this computer cannot make it.
            EmulatorError: a step of making it fails.
        """
        booted_from = image()
        with tempfile.TemporaryDirectory() as temporary:
            wheel = build_wheel(Path(temporary))
            unpack([wheel], Path(temporary, "runtime"))
            disk.write(folder / "runtime.img", Path(temporary, "runtime"))
            required = packages(wheel)
        disk.write(folder / "bundle.img", bundle)
        disks = [required, folder / "runtime.img", folder / "bundle.img"]
        return cls(Machine(booted_from, folder, disks=disks))

    def empty_store(self) -> None:
        """Removes what is installed, as on a new board.

        Raises:
            EmulatorError: as `Machine.run`.
        """
        self.machine.run("rm", "-rf", _STORE, "/data")

    def command(self, *arguments: str, check: bool = True, stdin: str = "") -> CompletedProcess[str]:
        """``edge-runtime ARGUMENTS``, on the machine.

        Raises:
            EmulatorError: as `Machine.run`.
        """
        return self.python(_COMMAND, *arguments, check=check, stdin=stdin)

    def report(self, *arguments: str, stdin: str = "") -> Any:
        """What ``edge-runtime ARGUMENTS --json`` prints.

        Raises:
            EmulatorError: as `Machine.run`.
        """
        return json.loads(self.command(*arguments, "--json", stdin=stdin).stdout)

    def call(self, module: str, request: Mapping[str, object]) -> Any:
        """What ``edge_runtime.MODULE.main()`` answers to a request, as `edge_runtime.process` has it.

        Raises:
            EmulatorError: as `Machine.run`, or an error of the runtime's.
        """
        code = "import json, sys; from edge_runtime.process import call; "
        code += "print(json.dumps(call(sys.argv[1], json.load(sys.stdin), about=sys.argv[1])))"
        return json.loads(self.python(code, module, stdin=json.dumps(request)).stdout)

    def python(
        self, code: str, *arguments: str, check: bool = True, stdin: str = ""
    ) -> CompletedProcess[str]:
        """Runs Python code that can import the runtime.

        Raises:
            EmulatorError: as `Machine.run`.
        """
        return self.machine.run(*_python(code, *arguments), check=check, stdin=stdin)

    def popen(self, code: str, *arguments: str) -> Popen[str]:
        """Begins what `python` runs, to be talked with; see `Machine.popen`."""
        return self.machine.popen(*_python(code, *arguments))


def _python(code: str, *arguments: str) -> list[str]:
    return ["env", f"PYTHONPATH={_RUNTIME}:{_PACKAGES}", "python3", "-c", code, *arguments]
