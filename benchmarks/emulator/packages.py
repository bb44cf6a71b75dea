"""The aarch64 wheels of the runtime's dependencies, of both engines and of faiss, as a disk.

Which versions, pip decides from the requirements of the runtime's own wheel, configured as on this computer.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from emulator import bytecode, cache, disk, tools
from emulator.bytecode import PYTHON
from emulator.errors import EmulatorError, UnavailableError

EXTRAS = ("faiss", "onnx", "tflite")
OWN = "edge_runtime-"
ROOT = Path(__file__).parents[2]

# glibc of the image is 2.36; the names that wheels use, oldest first.
_PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in (17, 26, 27, 28, 31, 34, 35)))


def build_wheel(folder: Path) -> Path:
    """The wheel of this project, as it is now.

    Raises:
        EmulatorError: pip cannot build it.
    """
    command: list[str | Path] = [*_pip("wheel"), "--no-deps", "-w", folder, ROOT]
    tools.call(command, about=f"{ROOT}: building the wheel")
    (found,) = folder.glob(f"{OWN}*.whl")
    return found


def packages(wheel: Path) -> Path:
    """A disk with everything that the wheel requires, unpacked, for the machine's Python.

    Made once for the same requirements. The runtime itself is not on it.

    Raises:
        UnavailableError: pip cannot fetch the wheels.
        EmulatorError: the wheel cannot be read, or a step of making the disk fails.
    """
    required = _metadata(wheel).get_all("Requires-Dist", [])
    sources = [Path(path).read_bytes() for path in (__file__, bytecode.__file__, disk.__file__)]
    inputs: list[str | bytes] = [*sources, *sorted(str(each) for each in required)]
    return cache.folder("packages", inputs, lambda folder: _build(folder, wheel)) / "packages.img"


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    """Makes a folder from which the machine's Python can import what is in the wheels."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    bytecode.compile_files(folder, at="")


def _build(folder: Path, wheel: Path) -> None:
    wheels, site = folder / "wheels", folder / "site"
    command: list[str | Path] = [*_pip("download"), "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", PYTHON, "-d", wheels]
    for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none"):
        command += ["--abi", abi]
    for name in _PLATFORMS:
        command += ["--platform", f"{name}_aarch64"]
    command.append(f"{wheel}[{','.join(EXTRAS)}]")
    tools.call(
        command, about="fetching the aarch64 wheels of the runtime's dependencies", error=UnavailableError
    )
    unpack([path for path in sorted(wheels.glob("*.whl")) if not path.name.startswith(OWN)], site)
    disk.write(folder / "packages.img", site)
    shutil.rmtree(site)
    shutil.rmtree(wheels)


def _pip(verb: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", verb]


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/METADATA"):
                return message_from_bytes(archive.read(name))
    raise EmulatorError(f"{wheel}: no METADATA in it; expected a wheel")
