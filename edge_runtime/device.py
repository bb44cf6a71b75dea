"""What machine this is and what state it is in, as far as the machine tells.

A latency means little without its board, clock and temperature. Everything comes from /proc, /sys and, on a
Raspberry Pi, from ``vcgencmd``; what cannot be read is None, never a guess. `root` stands for ``/`` so that
another machine's files can be read.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge_runtime import cpu
from edge_runtime.cpu import fields
from edge_runtime.version import __version__

ROOT = Path("/")

PACKAGES = ("numpy", "usearch", "tokenizers", "PyYAML", "onnxruntime", "ai-edge-litert", "tflite-runtime")
"""Distributions whose versions change speed or results; reported where installed."""

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled; 16 bits higher: since boot.
_THROTTLE_BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_VCGENCMD_SECONDS = 5.0

_CPU_ZONE = re.compile("cpu|core|soc|pkg", re.IGNORECASE)
_PLAUSIBLE_CELSIUS = (-40.0, 150.0)


@dataclass(frozen=True, slots=True)
class Device:
    """What does not change while a process runs.

    Attributes:
        board: the device tree's model, else the vendor and product of the firmware, else the architecture.
        cpu: the core's name; the kinds and their counts where they differ.
        features: those of `cpu.FEATURES` that every core has.
        governor: how the clock is chosen; several, comma-separated, where cores differ.
        memory_bytes: all of the machine's RAM that the kernel manages.
        versions: this package's and those of `PACKAGES` that are installed.
    """

    board: str
    machine: str
    cpu: str | None
    features: tuple[str, ...]
    cores: int | None
    page_bytes: int | None
    governor: str | None
    memory_bytes: int | None
    os: str | None
    kernel: str
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Throttling:
    """What a Raspberry Pi's firmware says of its clock: reasons that hold now, and any since boot."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """What changes from moment to moment.

    Attributes:
        celsius: the hottest sensor of the CPU.
        throttling: None where the machine has no ``vcgencmd``; other boards are not guessed at.
        load: tasks that ran or waited, averaged over the last minute.
        available_bytes: RAM that this process can still have without swapping: of the machine's, and of what
            its control group may have.
    """

    celsius: float | None
    throttling: Throttling | None
    load: float | None
    available_bytes: int | None


def describe(root: Path = ROOT) -> Device:
    """The machine whose file system is `root`; architecture, page size and versions are this process's."""
    processor = cpu.describe(root)
    return Device(
        board=_board(root),
        machine=platform.machine(),
        cpu=processor.name,
        features=processor.features,
        cores=processor.cores,
        page_bytes=_page_bytes(),
        governor=_governor(root),
        memory_bytes=_meminfo(root, "MemTotal"),
        os=_os_name(root),
        kernel=_text(root / "proc/sys/kernel/osrelease") or platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions=_versions(),
    )


def condition(root: Path = ROOT, *, vcgencmd: str = "vcgencmd") -> Condition:
    """The state right now. `vcgencmd` is the Raspberry Pi tool's name or path."""
    return Condition(
        celsius=_celsius(root),
        throttling=_throttling(vcgencmd),
        load=_load(root),
        available_bytes=_available(root),
    )


def decode_throttled(output: str) -> Throttling | None:
    """Output of ``vcgencmd get_throttled``, such as ``throttled=0x50005``; None if it is anything else."""
    match = re.fullmatch(r"throttled=(0x[0-9a-fA-F]+)", output.strip())
    if match is None:
        return None
    bits = int(match[1], 16)
    return Throttling(now=_reasons(bits), since_boot=_reasons(bits >> 16))


def throttled_between(before: Throttling | None, after: Throttling | None) -> tuple[str, ...]:
    """Why the clock was held back at some time between two readings; empty when nothing shows it was.

    The bits since boot stay set, so only one that is new proves anything about the time between.
    """
    if before is None or after is None:
        return ()
    new = {reason for reason in after.since_boot if reason not in before.since_boot}
    found = {*before.now, *after.now, *new}
    return tuple(reason for reason in _THROTTLE_BITS if reason in found)


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for place, reason in enumerate(_THROTTLE_BITS) if bits >> place & 1)


def _throttling(vcgencmd: str) -> Throttling | None:
    command = shutil.which(vcgencmd)
    if command is None:
        return None
    try:
        done = subprocess.run(
            [command, "get_throttled"], capture_output=True, timeout=_VCGENCMD_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return decode_throttled(done.stdout.decode("ascii", "replace"))


def _board(root: Path) -> str:
    model = _text(root / "proc/device-tree/model")
    if model:
        return model
    firmware = [_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in firmware if part) or platform.machine()


def _page_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _governor(root: Path) -> str | None:
    paths = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return ", ".join(sorted({name for path in paths if (name := _text(path))})) or None


def _celsius(root: Path) -> float | None:
    zones = (root / "sys/class/thermal").glob("thermal_zone*")
    # Only the CPU's own: a Jetson's power chip, for one, always claims 100 degrees.
    texts = (_text(zone / "temp") for zone in zones if _CPU_ZONE.search(_text(zone / "type") or ""))
    readings = [int(text) / 1000 for text in texts if text and re.fullmatch(r"-?[0-9]+", text)]
    low, high = _PLAUSIBLE_CELSIUS
    return max((value for value in readings if low < value < high), default=None)


def _load(root: Path) -> float | None:
    match = re.match(r"[0-9]+\.[0-9]+", _text(root / "proc/loadavg") or "")
    return float(match[0]) if match else None


def _meminfo(root: Path, name: str) -> int | None:
    match = re.fullmatch(r"([0-9]+) kB", fields(_text(root / "proc/meminfo") or "").get(name, ""))
    return int(match[1]) * 1024 if match else None


def _available(root: Path) -> int | None:
    machine = _meminfo(root, "MemAvailable")
    return None if machine is None else min([machine, *_group_rooms(root)])


def _group_rooms(root: Path) -> list[int]:
    """What is left of each limit on this process' memory: its control group's and those above (version 2)."""
    lines = (_text(root / "proc/self/cgroup") or "").splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return []
    top = root / "sys/fs/cgroup"
    group = top / own
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return [room for folder in folders if (room := _group_room(folder)) is not None]


def _group_room(folder: Path) -> int | None:
    """Files that were read and lie idle do not count as used: the kernel gives them up first."""
    limit, used = (_text(folder / name) for name in ("memory.max", "memory.current"))
    if not (limit and used and limit.isdecimal() and used.isdecimal()):  # "max" is no limit
        return None
    idle = re.search(r"^inactive_file ([0-9]+)$", _text(folder / "memory.stat") or "", re.MULTILINE)
    return max(0, int(limit) - int(used) + (int(idle[1]) if idle else 0))


def _os_name(root: Path) -> str | None:
    match = re.search(r"^PRETTY_NAME=[\"']?(.*?)[\"']?$", _text(root / "etc/os-release") or "", re.MULTILINE)
    return match[1] if match else platform.system() or None


def _versions() -> dict[str, str]:
    found = {"edge-runtime": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _text(path: Path) -> str | None:
    """A kernel file's text without the NUL that ends device-tree strings; None when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \t\r\n") or None
    except OSError:
        return None
