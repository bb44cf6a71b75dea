"""The emulated machine, on which tests rely: no network, a disk that outlives power cuts, clear errors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator.errors import EmulatorError, UnavailableError
from emulator.image import image
from emulator.machine import Hardware, Machine

pytestmark = pytest.mark.device

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A bare one, on."""
    try:
        booted_from = image()
    except UnavailableError as problem:
        pytest.skip(str(problem))
    made = Machine(booted_from, tmp_path_factory.mktemp("machine"))
    with made.powered(Hardware("cortex-a72", memory_mb=256)):
        yield made


def test_commands(machine: Machine) -> None:
    """Words arrive as they were given, input and output too; a failure has the command's own words."""
    assert machine.run("printf", "%s|", "two words", "$HOME", "'").stdout == "two words|$HOME|'|"
    assert machine.run("cat", stdin="über\n").stdout == "über\n"
    assert machine.run("false", check=False).returncode == 1
    with pytest.raises(EmulatorError, match=r"cat /gone on the machine: status 1: .*No such file"):
        machine.run("cat", "/gone")
    with pytest.raises(EmulatorError, match="sleep 60 on the machine: no end in 1 s"):
        machine.run("sleep", "60", timeout=1)


def test_nothing_leaves_it(machine: Machine) -> None:
    """This computer listens, and is not reached: not through the gateway, not by any other address."""
    with socket.create_server(("", 0)) as server:
        port = str(server.getsockname()[1])
        for address in ("10.0.2.2", "192.0.2.1"):
            done = machine.run("python3", "-c", CONNECT, address, port, check=False)
            assert done.returncode == 1
            assert "Error" in done.stderr
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_power_cut(machine: Machine, tmp_path: Path) -> None:
    """Ends QEMU at once; after the next boot, what was on the disk is there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("kept\n", "utf-8")
    machine.copy(tmp_path, "/data")
    machine.run("sync")
    machine.cut_power()
    machine.cut_power()
    with pytest.raises(EmulatorError, match="status 255"):
        machine.run("true")
    machine.boot(Hardware("cortex-a53", memory_mb=256))
    assert machine.run("cat", "/data/folder/file").stdout == "kept\n"


def test_a_processor_that_qemu_does_not_know(machine: Machine, tmp_path: Path) -> None:
    """QEMU's own words, and no process left."""
    other = Machine(image(), tmp_path)
    with pytest.raises(EmulatorError, match=r"QEMU ended while cortex-z1 booted: .*cortex-z1"):
        other.boot(Hardware("cortex-z1"))
    other.cut_power()
    with pytest.raises(EmulatorError, match="on already"):
        machine.boot(Hardware("cortex-a72"))
    assert _children("qemu-system-aar") == 1


def _children(name: str) -> int:
    """How many processes of that name this one has."""
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        found += f"({name})" in stat and stat.rpartition(")")[2].split()[1] == str(os.getpid())
    return found
