"""The processor's name, of boards that are not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import cpu
from edge_runtime.cpu import Cpu

PI4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"


def machine(root: Path, text: str) -> Path:
    """A file system with nothing but /proc/cpuinfo."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(text, "utf-8")
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{PI4}\n{PI4}\nModel\t: Raspberry Pi 4\n", Cpu("Cortex-A72", ("asimd",), 2)),
        (PI4.replace("0xd08", "0xfff"), Cpu("implementer 0x41 part 0xfff", ("asimd",), 1)),
        ("processor : 0\nmodel name : N100\nflags : sse4_1 avx2\n", Cpu("N100", ("sse4_1", "avx2"), 1)),
        ("Model : a board\n", Cpu(None, (), None)),
        ("", Cpu(None, (), None)),
    ],
)
def test_describe(tmp_path: Path, text: str, expected: Cpu) -> None:
    """Blocks that are not of a core, such as the board's, do not count."""
    assert cpu.describe(machine(tmp_path, text)) == expected


def test_two_kinds_of_core(tmp_path: Path) -> None:
    """Each with its count, and only the features that all have."""
    big = PI4.replace("0xd08", "0xd0b").replace("crc32", "asimddp")
    found = cpu.describe(machine(tmp_path, f"{PI4}\n{PI4}\n{big}"))
    assert found == Cpu("2 x Cortex-A72 + 1 x Cortex-A76", ("asimd",), 3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("4 x Cortex-A55 + 4 x Cortex-A76", "4 x Cortex-A55 + 3 x Cortex-A76", True),
        ("4 x Cortex-A55 + 4 x Cortex-A76", "4 x Cortex-A76 + 4 x Cortex-A55", True),
        ("4 x Cortex-A55 + 4 x Cortex-A76", "Cortex-A55", False),
        ("4 x Cortex-A55 + 4 x Cortex-A76", "4 x Cortex-A55 + 4 x Cortex-A78", False),
        ("Cortex-A72", "Cortex-A72", True),
        ("Cortex-A72", None, False),
        (None, None, True),
    ],
)
def test_the_same_kinds_of_core(one: str | None, other: str | None, same: bool) -> None:
    """However many of them are online."""
    assert cpu.same_kinds(one, other) == same


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    """No /proc at all."""
    assert cpu.describe(tmp_path) == Cpu(None, (), None)


@pytest.mark.parametrize("feature", cpu.DOT_PRODUCT)
def test_dot_product(feature: str) -> None:
    """Any of the ways to have it, as kernels spell them."""
    assert feature in cpu.FEATURES
    assert cpu.has_dot_product(("asimd", feature))
    assert cpu.unmet(("dot_product",), (feature,)) is None


def test_what_a_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words; a processor of which nothing is known counts as one without, and nothing is always there."""
    needs = "needs a processor with int8 dot product (asimddp, avx_vnni, avx512_vnni), and this system "
    assert cpu.unmet(("dot_product",), ("sse4_1", "avx2")) == needs + "has sse4_1, avx2"
    assert cpu.unmet(("dot_product",), ()) == needs + "tells of none (/proc/cpuinfo)"
    assert cpu.unmet((), ()) is None
    monkeypatch.setattr(cpu, "describe", lambda: Cpu("Cortex-A72", ("asimd",), 4))
    assert cpu.unmet(("dot_product",)) == needs + "has asimd"


def test_this_machine_says_the_same_twice() -> None:
    """A calibration would not hold otherwise."""
    assert cpu.describe() == cpu.describe()
