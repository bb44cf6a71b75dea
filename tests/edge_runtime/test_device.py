"""What machines say of themselves: small trees in the formats of real boards."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_runtime
from edge_runtime import device
from edge_runtime.device import (
    Condition,
    Throttling,
    condition,
    decode_throttled,
    describe,
    throttled_between,
)

NO_TOOL = "no-such-vcgencmd"

CPU = "sys/devices/system/cpu"
ZONE = "sys/class/thermal/thermal_zone"


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """A root directory with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root


def arm_core(number: int, features: str, part: str, *, implementer: str = "0x41", name: str = "") -> str:
    """A block of /proc/cpuinfo on a 64-bit ARM kernel; NVIDIA's adds a model name."""
    model = f"model name\t: {name}\n" if name else ""
    return (
        f"processor\t: {number}\n{model}BogoMIPS\t: 108.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: {implementer}\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {part}\nCPU revision\t: 3\n\n"
    )


def governors(*names: str) -> dict[str, str]:
    """One a core."""
    return {f"{CPU}/cpu{core}/cpufreq/scaling_governor": f"{name}\n" for core, name in enumerate(names)}


def zones(*pairs: tuple[str, str]) -> dict[str, str]:
    """Thermal zones: type and reading."""
    return {
        f"{ZONE}{number}/{file}": f"{text}\n"
        for number, pair in enumerate(pairs)
        for file, text in zip(("type", "temp"), pair, strict=True)
    }


A72 = "fp asimd evtstrm crc32 cpuid"
PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "".join(arm_core(n, A72, "0xd08") for n in range(4))
    + "Revision\t: c03114\nSerial\t\t: 10000000abcdef01\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    "proc/meminfo": (
        "MemTotal:        3885476 kB\nMemFree:         2811404 kB\nMemAvailable:    3417296 kB\n"
        "HugePages_Total:       0\nHugepagesize:       2048 kB\n"
    ),
    "proc/loadavg": "0.08 0.03 0.01 1/187 1234\n",
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-v8\n",
    "etc/os-release": (
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
    ),
    **governors(*["ondemand"] * 4),
    **zones(("cpu-thermal", "48199")),
}
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
PI_5 = PI_4 | {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": "".join(arm_core(n, A76, "0xd0b") for n in range(4))
    + "Revision\t: d04170\nSerial\t\t: 1000000012345678\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
    "proc/meminfo": "MemTotal:        8257376 kB\nMemAvailable:    7712048 kB\n",
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
    **zones(("cpu-thermal", "52650")),
}
A57 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
JETSON_NANO = {
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "proc/cpuinfo": "".join(arm_core(n, A57, "0xd07", name="ARMv8 Processor rev 1 (v8l)") for n in range(4)),
    "proc/meminfo": "MemTotal:        4059292 kB\nMemFree:          401312 kB\nMemAvailable:    2510984 kB\n",
    "proc/loadavg": "1.52 0.90 0.51 2/612 9876\n",
    "proc/sys/kernel/osrelease": "4.9.337-tegra\n",
    "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 18.04.6 LTS"\n',
    **governors(*["schedutil"] * 4),
    **zones(
        ("AO-therm", "43500"),
        ("CPU-therm", "36500"),
        ("GPU-therm", "35000"),
        ("PLL-therm", "35000"),
        ("PMIC-Die", "100000"),
        ("thermal-fan-est", "36200"),
    ),
}
FLAGS = "fpu vme de pse sse sse2 ht syscall nx lm pni ssse3 fma sse4_1 sse4_2 avx f16c rdrand avx2 erms"
PC = {
    "proc/cpuinfo": "".join(
        f"processor\t: {n}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 142\n"
        f"model name\t: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz\nflags\t\t: {FLAGS}\nbugs\t\t: mds l1tf\n"
        "power management:\n\n"
        for n in range(8)
    ),
    "proc/meminfo": "MemTotal:       16269496 kB\nMemAvailable:   11012888 kB\n",
    "proc/loadavg": "12.00 7.31 3.02 9/1402 55555\n",
    "proc/sys/kernel/osrelease": "6.1.0-21-amd64\n",
    "etc/os-release": "NAME=Fedora\nPRETTY_NAME='Fedora Linux 40'\n",
    "sys/class/dmi/id/sys_vendor": "LENOVO\n",
    "sys/class/dmi/id/product_name": "20L5CTO1WW\n",
    **governors(*["powersave"] * 8),
    **zones(("acpitz", "27800"), ("x86_pkg_temp", "61000"), ("iwlwifi_1", "45000")),
}


def test_raspberry_pi_4(tmp_path: Path) -> None:
    """The block about the board at the end of cpuinfo is no fifth core."""
    found = describe(tree(tmp_path, PI_4))
    assert found.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert (found.cpu, found.cores, found.features) == ("Cortex-A72", 4, ("asimd",))
    assert (found.governor, found.memory_bytes) == ("ondemand", 3885476 * 1024)
    assert (found.os, found.kernel) == ("Debian GNU/Linux 12 (bookworm)", "6.6.31+rpt-rpi-v8")
    assert condition(tmp_path, vcgencmd=NO_TOOL) == Condition(48.199, None, 0.08, 3417296 * 1024)


def test_raspberry_pi_5(tmp_path: Path) -> None:
    """Its half-precision and dot-product instructions make other kernels run."""
    found = describe(tree(tmp_path, PI_5))
    assert found.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert (found.cpu, found.cores) == ("Cortex-A76", 4)
    assert found.features == ("asimd", "asimdhp", "asimddp")
    assert condition(tmp_path, vcgencmd=NO_TOOL).celsius == 52.65


def test_jetson_nano(tmp_path: Path) -> None:
    """The core's part number says more than its model name; the power chip's 100 degrees are no heat."""
    found = describe(tree(tmp_path, JETSON_NANO))
    assert found.board == "NVIDIA Jetson Nano Developer Kit"
    assert (found.cpu, found.governor, found.os) == ("Cortex-A57", "schedutil", "Ubuntu 18.04.6 LTS")
    assert condition(tmp_path, vcgencmd=NO_TOOL) == Condition(36.5, None, 1.52, 2510984 * 1024)


def test_pc(tmp_path: Path) -> None:
    """No device tree: the firmware names the machine."""
    found = describe(tree(tmp_path, PC))
    assert found.board == "LENOVO 20L5CTO1WW"
    assert (found.cpu, found.cores) == ("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", 8)
    assert found.features == ("sse4_1", "avx2", "f16c")
    assert (found.governor, found.os) == ("powersave", "Fedora Linux 40")
    assert condition(tmp_path, vcgencmd=NO_TOOL) == Condition(61.0, None, 12.0, 11012888 * 1024)


def test_nothing_to_read(tmp_path: Path) -> None:
    """What is not told is None, never a guess."""
    found = describe(tmp_path)
    assert (found.board, found.machine) == (platform.machine(), platform.machine())
    assert (found.cpu, found.cores, found.features) == (None, None, ())
    assert (found.governor, found.memory_bytes) == (None, None)
    assert (found.os, found.kernel) == (platform.system(), platform.release())
    assert condition(tmp_path, vcgencmd=NO_TOOL) == Condition(None, None, None, None)


def test_this_machine() -> None:
    """Whatever it is, the versions are those of this process."""
    found = describe()
    assert found.versions["edge-runtime"] == edge_runtime.__version__
    assert list(found.versions) == [n for n in ("edge-runtime", *device.PACKAGES) if n in found.versions]
    assert found.page_bytes in {4096, 16384, 65536}
    assert found.python.endswith(platform.python_version())


def test_cores_of_two_kinds(tmp_path: Path) -> None:
    """An RK3588: counts of each, and only the features and governors that tell the truth of all."""
    cores = [arm_core(n, A76, "0xd05") for n in range(4)] + [
        arm_core(n, f"{A76} sve", "0xd0b") for n in (4, 5)
    ]
    clocks = governors(*["schedutil"] * 4, "performance", "performance")
    found = describe(tree(tmp_path, {"proc/cpuinfo": "".join(cores), **clocks}))
    assert (found.cpu, found.cores) == ("4 x Cortex-A55 + 2 x Cortex-A76", 6)
    assert found.features == ("asimd", "asimdhp", "asimddp")
    assert found.governor == "performance, schedutil"


def test_a_core_that_nobody_listed(tmp_path: Path) -> None:
    """Its numbers can be looked up."""
    cpuinfo = arm_core(0, "fp asimd", "0xabc", implementer="0x61")
    assert describe(tree(tmp_path, {"proc/cpuinfo": cpuinfo})).cpu == "implementer 0x61 part 0xabc"


def test_riscv(tmp_path: Path) -> None:
    """Another spelling of everything."""
    cpuinfo = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: sifive,u74-mc\n\n"
    found = describe(tree(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert (found.cpu, found.cores, found.features) == ("sifive,u74-mc", 1, ())


@pytest.mark.parametrize(
    ("reading", "celsius"),
    [
        ("-5000", -5.0),
        ("149999", 149.999),
        ("150000", None),
        ("-274000", None),
        ("", None),
        ("n/a", None),
        ("48.2", None),
    ],
)
def test_readings_that_are_no_temperature(tmp_path: Path, reading: str, celsius: float | None) -> None:
    """Sensors that are switched off report nonsense."""
    assert condition(tree(tmp_path, zones(("cpu-thermal", reading))), vcgencmd=NO_TOOL).celsius == celsius


def test_the_hottest_sensor_counts(tmp_path: Path) -> None:
    """A Jetson Orin has several of the same silicon."""
    root = tree(
        tmp_path, zones(("cpu-thermal", "49000"), ("soc0-thermal", "51218"), ("gpu-thermal", "99000"))
    )
    assert condition(root, vcgencmd=NO_TOOL).celsius == 51.218


def groups(own: str, **limits: tuple[str, str]) -> dict[str, str]:
    """Control groups of version 2: the process' own, and limit and use of some (``_`` is ``/``)."""
    files = {"proc/self/cgroup": f"{own}\n", "proc/meminfo": "MemAvailable: 1000 kB\n"}
    for name, pair in limits.items():
        for file, text in zip(("memory.max", "memory.current"), pair, strict=True):
            files[f"sys/fs/cgroup/{name.replace('_', '/')}/{file}"] = f"{text}\n"
    return files


@pytest.mark.parametrize(
    ("files", "available"),
    [
        (groups("0::/a/b", a_b=("300000", "100000")), 200_000),
        (groups("0::/a/b", a_b=("max", "100000"), a=("250000", "100000")), 150_000),
        (groups("0::/a/b", a_b=("9000000000", "100000")), 1_024_000),
        (groups("0::/a/b", a_b=("100000", "300000")), 0),
        (groups("0::/a", other=("300000", "100000")), 1_024_000),
        (groups("0::/a", a=("much", "")), 1_024_000),
        # In a container its own group is the top.
        (groups("0::/", **{"": ("300000", "100000")}), 200_000),
        (groups("0::/../b", **{"": ("300000", "100000")}), 200_000),
        (groups("4:memory:/a", a=("300000", "100000")), 1_024_000),
    ],
)
def test_the_limit_of_a_control_group(tmp_path: Path, files: dict[str, str], available: int) -> None:
    """As systemd and containers set it: the least that is left of any, and never less than nothing."""
    assert condition(tree(tmp_path, files), vcgencmd=NO_TOOL).available_bytes == available


def test_files_that_lie_idle_are_not_used_memory(tmp_path: Path) -> None:
    """A bundle that was just read counts in memory.current."""
    stat = {"sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 50000\nactive_file 7\n"}
    root = tree(tmp_path, groups("0::/a", a=("300000", "100000")) | stat)
    assert condition(root, vcgencmd=NO_TOOL).available_bytes == 250_000


def test_mangled_files(tmp_path: Path) -> None:
    """Bytes that are no text, and fields without values."""
    root = tree(
        tmp_path, {"proc/meminfo": "MemTotal: lots\n", "proc/loadavg": "high\n", "etc/os-release": "?"}
    )
    (root / "proc/cpuinfo").write_bytes(b"processor: 0\nmodel name: \xff\xfe\n")
    found = describe(root)
    assert (found.cpu, found.cores, found.memory_bytes) == ("\ufffd\ufffd", 1, None)
    assert condition(root, vcgencmd=NO_TOOL).load is None


@pytest.mark.parametrize(
    ("output", "now", "since_boot"),
    [
        ("throttled=0x0\n", (), ()),
        ("throttled=0x1", ("under-voltage",), ()),
        ("throttled=0x2", ("frequency capped",), ()),
        ("throttled=0x4", ("throttled",), ()),
        ("throttled=0x8", ("soft temperature limit",), ()),
        ("throttled=0x50000", (), ("under-voltage", "throttled")),
        ("throttled=0x50005\n", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("throttled=0xE0008", ("soft temperature limit",), device._THROTTLE_BITS[1:]),
        ("throttled=0xfff0fff0", (), ()),
    ],
)
def test_decode_throttled(output: str, now: tuple[str, ...], since_boot: tuple[str, ...]) -> None:
    """Four bits for now and the same four, sixteen higher, for since boot; others mean nothing yet."""
    assert decode_throttled(output) == Throttling(now, since_boot)


@pytest.mark.parametrize(
    "output",
    ["", "0x0", "throttled=", "throttled=0x", "throttled=5", "throttled=0xZZ", "VCHI initialization failed"],
)
def test_garbage_is_not_decoded(output: str) -> None:
    """Nothing known is not the same as not throttled."""
    assert decode_throttled(output) is None


@given(st.text(max_size=30) | st.integers(0, 2**32 - 1).map("throttled={:#x}".format))
@settings(deadline=None, max_examples=100)
def test_decoding_never_fails(output: str) -> None:
    """Whatever a tool prints."""
    found = decode_throttled(output)
    assert found is None or set(found.now) | set(found.since_boot) <= set(device._THROTTLE_BITS)


NOTHING = Throttling((), ())
HOT = ("soft temperature limit",)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (NOTHING, NOTHING, ()),
        (None, Throttling(HOT, HOT), ()),
        (Throttling(HOT, HOT), None, ()),
        (Throttling((), HOT), Throttling((), HOT), ()),
        (NOTHING, Throttling((), HOT), HOT),
        (Throttling(HOT, HOT), Throttling((), HOT), HOT),
        (
            Throttling(HOT, HOT),
            Throttling(("under-voltage",), (*HOT, "under-voltage", "throttled")),
            ("under-voltage", "throttled", *HOT),
        ),
    ],
)
def test_throttled_between(
    before: Throttling | None, after: Throttling | None, reasons: tuple[str, ...]
) -> None:
    """At either end, or by a bit that is new; each reason once, in the order of the bits."""
    assert throttled_between(before, after) == reasons


def tool(folder: Path, script: str, *, mode: int = 0o755) -> str:
    """A vcgencmd of one's own."""
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(mode)
    return str(path)


def test_vcgencmd(tmp_path: Path) -> None:
    """It is asked for exactly this."""
    script = '[ "$*" = get_throttled ] && echo throttled=0x50005'
    found = condition(tmp_path, vcgencmd=tool(tmp_path, script)).throttling
    assert found == Throttling(("under-voltage", "throttled"), ("under-voltage", "throttled"))


def test_vcgencmd_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by name, as on a Raspberry Pi."""
    tool(tmp_path, "echo throttled=0x0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert condition(tmp_path).throttling == NOTHING


@pytest.mark.parametrize(
    "script",
    [
        "echo VCHI initialization failed; exit 255",
        "exit 1",
        "printf '\\377\\376'",
        'echo "Can\'t open device file: /dev/vcio" >&2',
    ],
)
def test_vcgencmd_that_fails(tmp_path: Path, script: str) -> None:
    """As without the rights to ask, or in a container."""
    assert condition(tmp_path, vcgencmd=tool(tmp_path, script)).throttling is None


def test_vcgencmd_that_cannot_run(tmp_path: Path) -> None:
    """Not executable, or made for another machine."""
    assert condition(tmp_path, vcgencmd=tool(tmp_path, "echo", mode=0o644)).throttling is None
    (tmp_path / "vcgencmd").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "vcgencmd").chmod(0o755)
    assert condition(tmp_path, vcgencmd=str(tmp_path / "vcgencmd")).throttling is None


def test_vcgencmd_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark does not hang with it."""
    monkeypatch.setattr(device, "_VCGENCMD_SECONDS", 0.1)
    assert condition(tmp_path, vcgencmd=tool(tmp_path, "exec sleep 600")).throttling is None
