"""What QEMU is asked for, without starting it; tests/device boots."""

from __future__ import annotations

from emulator.machine import Hardware, Machine


def test_hardware() -> None:
    """A counting machine has one core and a clock that advances with each instruction."""
    plain = " ".join(Hardware("cortex-a76", memory_mb=256, cores=2).arguments())
    assert "-cpu cortex-a76 -m 256 -smp 2 -accel tcg,thread=multi" in plain
    assert "icount" not in plain
    counting = " ".join(Hardware("cortex-a72", counting=True).arguments())
    assert "-cpu cortex-a72 -m 512 -smp 1 -accel tcg,thread=single" in counting
    assert counting.endswith("-icount shift=0,sleep=on")


def test_mount_points() -> None:
    """The first disk is the machine's own."""
    assert [Machine.mount_point(place) for place in range(3)] == ["/mnt/vdb", "/mnt/vdc", "/mnt/vdd"]
