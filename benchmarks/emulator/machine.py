"""The machine itself: a disk of its own, power that can be cut, and commands over ssh.

It reaches this computer's ssh and nothing else, so whatever works on it works offline.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator import disk, tools
from emulator.errors import EmulatorError
from emulator.image import HOST, Image

_READY = "EDGE-READY"
_BOOT_SECONDS = 180.0
_COMMAND_SECONDS = 600.0
_SHUT_DOWN_SECONDS = 30.0
_TRANSLATION_CACHE_MB = 256

# Where addresses differ at each start, QEMU translates the same code again; and where the kernel's own do, it
# changes page tables at each system call, which empties the emulated TLB. Without both, Python starts in half
# the time.
_FIXED_ADDRESSES = "nokaslr norandmaps"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What is emulated.

    Attributes:
        cpu: one of QEMU's, such as ``cortex-a72``.
        counting: one instruction takes one nanosecond of the machine's time, on one core: its clocks then
            count instructions, whatever else this computer does. Slower by a few times.
    """

    cpu: str
    memory_mb: int = 512
    cores: int = 1
    counting: bool = False

    def arguments(self) -> list[str]:
        """For QEMU."""
        cores, threads = (1, "single") if self.counting else (self.cores, "multi")
        given = ["-M", "virt,gic-version=2", "-cpu", self.cpu, "-m", str(self.memory_mb), "-smp", str(cores)]
        given += ["-accel", f"tcg,thread={threads},tb-size={_TRANSLATION_CACHE_MB}"]
        return [*given, "-icount", "shift=0,sleep=on"] if self.counting else given


class Machine:
    """One machine; its disk outlives power cuts and changes of processor.

    Args:
        folder: an empty one for its disk and its console's output.
        disks: further ones, mounted read-only at `mount_point` 0, 1, ….
    """

    def __init__(self, image: Image, folder: Path, *, disks: Sequence[Path] = ()) -> None:
        self._image = image
        self._disk = folder / "root.img"
        self._disks = tuple(disks)
        self._console, self._complaints = folder / "console.log", folder / "qemu.log"
        self._qemu: subprocess.Popen[bytes] | None = None
        self.port = 0
        """Of this computer, that leads to the machine's ssh."""
        disk.copy(image.disk, self._disk)

    @staticmethod
    def mount_point(place: int) -> str:
        """Where the machine has the further disk of that place."""
        return f"/mnt/vd{'bcd'[place]}"

    @contextmanager
    def powered(self, hardware: Hardware) -> Iterator[Machine]:
        """Boots; shuts down at the end, or cuts the power where something was raised.

        Keep the thread that calls this alive: QEMU is killed when it ends, so as never to be left behind.

        Raises:
            EmulatorError: it does not boot or does not shut down.
        """
        self.boot(hardware)
        try:
            yield self
            self.shut_down()
        finally:
            self.cut_power()

    def boot(self, hardware: Hardware) -> None:
        """Starts it and waits until ssh answers.

        Raises:
            EmulatorError: it is on already, ends, or does not answer in time.
        """
        if self._qemu is not None:
            raise EmulatorError("the machine is on already; cut its power first")
        self.port = _free_port()
        self._console.unlink(missing_ok=True)
        command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-aarch64", *hardware.arguments()]
        command += [*self._boot_arguments(), *self._disk_arguments(), *self._network_arguments()]
        with self._complaints.open("w") as log:
            self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._await_ssh(hardware)
        except BaseException:
            self.cut_power()
            raise

    def cut_power(self) -> None:
        """Ends it at once; what its kernel had not written to the disk is lost. It may be off already.

        A real drive may lose its own cache as well; this one cannot.
        """
        if self._qemu is None:
            return
        self._qemu.kill()
        self._qemu.wait()
        self._qemu = None

    def shut_down(self) -> None:
        """Writes everything to the disk and turns it off. It may be off already.

        Raises:
            EmulatorError: it does not end in time.
        """
        if self._qemu is None:
            return
        self.run("sync")
        self.run("busybox", "poweroff", "-f", check=False)
        try:
            self._qemu.wait(timeout=_SHUT_DOWN_SECONDS)
        except subprocess.TimeoutExpired:
            raise EmulatorError(f"the machine is still on after {_SHUT_DOWN_SECONDS:.0f} s") from None
        self._qemu = None

    def run(
        self, *arguments: str, stdin: str = "", check: bool = True, timeout: float = _COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program on it, as root.

        Args:
            check: whether a status other than 0 is an error.
            timeout: in seconds of this computer.

        Raises:
            EmulatorError: the program failed, or did not end in time.
        """
        about = shlex.join(arguments[:2])
        try:
            done = subprocess.run(
                [*self._ssh(), shlex.join(arguments)],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EmulatorError(f"{about} on the machine: no end in {timeout:.0f} s") from None
        if check and done.returncode != 0:
            raise EmulatorError(f"{about} on the machine: status {done.returncode}{tools.tail(done.stderr)}")
        return done

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Begins a program on it, as root, to be talked with; its errors are among what it prints."""
        return subprocess.Popen(
            [*self._ssh(), shlex.join(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def copy(self, source: Path, target: str) -> None:
        """Puts a folder's files into the folder `target` on the machine, which is made if needed.

        Raises:
            EmulatorError: they cannot be read, sent or written.
        """
        self.run("mkdir", "-p", target)
        with subprocess.Popen(["tar", "-C", source, "-c", "."], stdout=subprocess.PIPE) as packing:
            command = [*self._ssh(), shlex.join(["tar", "-C", target, "-x", "--no-same-owner"])]
            done = subprocess.run(command, stdin=packing.stdout, capture_output=True, text=True, check=False)
        if packing.returncode or done.returncode:
            raise EmulatorError(f"copying {source} to the machine failed{tools.tail(done.stderr)}")

    def ssh_options(self) -> list[str]:
        """With which the system's ssh reaches it, as root@127.0.0.1."""
        options = {
            "BatchMode": "yes",
            "HostKeyAlias": HOST,
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._image.known_hosts),
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["-F", "none", "-i", str(self._image.key), "-p", str(self.port), *given]

    def _ssh(self) -> list[str]:
        return ["ssh", *self.ssh_options(), "root@127.0.0.1"]

    def _boot_arguments(self) -> list[str]:
        given = ["-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs)]
        given += ["-append", f"console=ttyAMA0 quiet loglevel=3 panic=1 {_FIXED_ADDRESSES}", "-no-reboot"]
        return [*given, "-display", "none", "-monitor", "none", "-serial", f"file:{self._console}"]

    def _disk_arguments(self) -> list[str]:
        given = ["-device", "virtio-rng-pci"]
        for name, path, only in [
            ("root", self._disk, "off"),
            *((f"d{i}", p, "on") for i, p in enumerate(self._disks)),
        ]:
            given += ["-drive", f"if=none,id={name},file={path},format=raw,cache=writeback,readonly={only}"]
            given += ["-device", f"virtio-blk-pci,drive={name},romfile="]
        return given

    def _network_arguments(self) -> list[str]:
        """``restrict`` lets in what is forwarded, and nothing out."""
        forward = f"hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:22"
        return [
            "-netdev",
            f"user,id=net,restrict=on,{forward}",
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
        ]

    def _await_ssh(self, hardware: Hardware) -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        while not self._answers():
            assert self._qemu is not None
            if self._qemu.poll() is not None:
                said = self._complaints.read_text("utf-8", "replace") or self._said()
                raise EmulatorError(f"QEMU ended while {hardware.cpu} booted{tools.tail(said)}")
            if time.monotonic() > deadline:
                said = tools.tail(self._said())
                raise EmulatorError(f"{hardware.cpu} did not boot in {_BOOT_SECONDS:.0f} s{said}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        return _READY in self._said() and self.run("true", check=False).returncode == 0

    def _said(self) -> str:
        """The console's output so far."""
        return self._console.read_text("utf-8", "replace") if self._console.exists() else ""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
