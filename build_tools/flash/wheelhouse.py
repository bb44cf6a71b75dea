"""The runtime's wheels for another computer, fetched on this one: the device needs no network for them.

pip decides which versions fit the device's Python, processor and C library; its configuration here holds.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tools.errors import FlashError
from edge_runtime import languages
from edge_runtime.bundle import sha256
from edge_runtime.manifest import Manifest
from edge_runtime.schema import require
from edge_runtime.version import __version__

ROOT = Path(__file__).parents[2]

_MACHINES = ("aarch64", "x86_64")
_OLDEST_PYTHON = 10
_OLDEST_GLIBC = 17  # of manylinux2014


@dataclass(frozen=True, slots=True)
class Board:
    """What wheels depend on, as a device tells it.

    Attributes:
        python: the minor version of its Python 3.
        machine: as ``uname -m`` has it.
        glibc: the minor version of its GNU C library 2; 0 for another library.
    """

    python: int
    machine: str
    glibc: int

    def __post_init__(self) -> None:
        found = f"Python 3.{self.python}"
        require(
            _OLDEST_PYTHON <= self.python < 100, "python", f"expected Python 3.10 or newer; found {found}"
        )
        known = " or ".join(_MACHINES)
        hint = "a 64-bit system is needed"
        require(
            self.machine in _MACHINES, "machine", f"expected {known}; found {self.machine[:20]!r}; {hint}"
        )
        hint = "such as Debian's, Ubuntu's and Raspberry Pi OS'"
        require(_OLDEST_GLIBC <= self.glibc < 1000, "glibc", f"expected a GNU C library from 2.17 on, {hint}")


def extras_for(manifest: Manifest, *, signed: bool) -> tuple[str, ...]:
    """The extras of the runtime that a bundle needs, sorted: engines, libraries, what checks signatures."""
    extras = {str(encoder.kind) for encoder in manifest.encoders} - {"static"}
    extras |= {manifest.reranker.kind} if manifest.reranker else set()
    wanted = {
        "languages": languages.needs_library(manifest.lexical.stemmer),
        "faiss": manifest.index.search == "pq",
        "signing": signed,
    }
    return tuple(sorted(extras.union(name for name, needed in wanted.items() if needed)))


def fetch(board: Board, extras: Sequence[str], folder: Path) -> None:
    """Puts the runtime's wheel, those that it requires, and pip's own into a folder.

    Raises:
        FlashError: pip cannot build or fetch one; says why.
    """
    if not (ROOT / "pyproject.toml").is_file():
        problem = f"expected the source of edge-runtime {__version__} there, to make its wheel of"
        raise FlashError(f"{ROOT}: {problem}; run edge-build from a checkout")
    _pip("wheel", "--no-deps", "-w", str(folder), str(ROOT))
    (own,) = folder.glob("edge_runtime-*.whl")
    wanted = f"{own}[{','.join(extras)}]" if extras else str(own)
    _pip("download", "-d", str(folder), *_fitting(board), wanted, "pip")


def digest(folder: Path) -> str:
    """Twelve hexadecimal digits that stand for the wheels in a folder."""
    names = sorted(f"{path.name} {sha256(path)}" for path in folder.glob("*.whl"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def _fitting(board: Board) -> list[str]:
    """What pip may choose from: this Python's own wheels, those of any, up to the device's C library."""
    given = ["--only-binary=:all:", "--implementation", "cp", "--python-version", f"3.{board.python}"]
    for abi in (f"cp3{board.python}", "abi3", "none"):
        given += ["--abi", abi]
    names = [f"manylinux_2_{minor}" for minor in range(board.glibc, _OLDEST_GLIBC - 1, -1)]
    for name in (*names, "manylinux2014"):
        given += ["--platform", f"{name}_{board.machine}"]
    return given


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        raise FlashError(f"pip {arguments[0]}: {said[:400]}")
