"""What processor this is, from /proc/cpuinfo: a latency holds for one kind of core only.

Apart from `device`, because opening a calibrated bundle asks for it and must load nothing more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FEATURES = (
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
    *(
        "sse4_1",
        "avx2",
        "f16c",
        "avx_vnni",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_int8",
    ),
)
"""The instruction sets that choose kernels in ONNX Runtime, LiteRT and usearch, in the kernel's spelling."""

DOT_PRODUCT = ("asimddp", "avx_vnni", "avx512_vnni")
"""Features any of which sums products of int8 in one instruction."""

Requirement = Literal["dot_product"]
"""What an encoder may ask of a processor."""

# Implementer and part of the MIDR register: Linux, arch/arm64/include/asm/cputype.h.
_ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x4e", "0x003"): "NVIDIA Denver 2",
    ("0x4e", "0x004"): "NVIDIA Carmel",
}


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor, as far as the kernel tells.

    Attributes:
        name: the core's name; the kinds and their counts where they differ.
        features: those of `FEATURES` that every core has.
        cores: how many there are.
    """

    name: str | None
    features: tuple[str, ...]
    cores: int | None


def describe(root: Path = Path("/")) -> Cpu:
    """The processor of the machine whose file system is `root`."""
    cores = _cores(root / "proc/cpuinfo")
    return Cpu(_name(cores), _features(cores), len(cores) or None)


def same_kinds(one: str | None, other: str | None) -> bool:
    """Whether two names, as `Cpu` has them, are of the same kinds of core.

    Their counts do not matter: a core goes offline where a board is too hot, or saves power.
    """
    return _kinds(one) == _kinds(other)


def has_dot_product(features: Sequence[str]) -> bool:
    """Whether a processor with `features`, as `Cpu` has them, sums products of int8 in one instruction."""
    return not set(DOT_PRODUCT).isdisjoint(features)


def unmet(requires: Sequence[Requirement], features: Sequence[str] | None = None) -> str | None:
    """What a processor lacks, in words; None when it has all that is required.

    A system that does not tell its processor's features, as outside of Linux, counts as one without: slow
    where it could have been fast is the lesser fault than the other way round.

    Args:
        features: as `Cpu` has them; those of this machine when None.
    """
    if not requires:
        return None
    known = describe().features if features is None else features
    if has_dot_product(known):
        return None
    found = f"has {', '.join(known)}" if known else "tells of none (/proc/cpuinfo)"
    return f"needs a processor with int8 dot product ({', '.join(DOT_PRODUCT)}), and this system {found}"


def fields(text: str) -> dict[str, str]:
    """The ``name : value`` lines of a /proc file."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _cores(path: Path) -> list[dict[str, str]]:
    """The blocks of cpuinfo that describe a core; ARM kernels add one about the board."""
    try:
        text = path.read_bytes().decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError:
        return []
    blocks = re.split(r"\n\s*\n", text)
    parsed = (fields(block) for block in blocks)
    return [core for core in parsed if "processor" in core]


def _name(cores: Sequence[Mapping[str, str]]) -> str | None:
    kinds = Counter(name for core in cores if (name := _core_name(core)))
    if len(kinds) == 1:
        return next(iter(kinds))
    return " + ".join(f"{count} x {name}" for name, count in kinds.items()) or None


def _kinds(name: str | None) -> set[str]:
    return {re.sub(r"^[0-9]+ x ", "", kind) for kind in (name or "").split(" + ")}


def _core_name(core: Mapping[str, str]) -> str | None:
    part = core.get("CPU part")
    if part is None:
        return core.get("model name") or core.get("uarch")
    implementer = core.get("CPU implementer", "?")
    return _ARM_CORES.get((implementer, part), f"implementer {implementer} part {part}")


def _features(cores: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    sets = [set((core.get("Features") or core.get("flags") or "").split()) for core in cores]
    common = set.intersection(*sets) if sets else set()
    return tuple(name for name in FEATURES if name in common)
