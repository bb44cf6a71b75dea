"""The runtime brought to a device behind a fake ssh: a real environment, with a small runtime in it."""

from __future__ import annotations

import ensurepip
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.errors import FlashError, LineError
from build_tools.flash import targets, wheelhouse
from build_tools.flash.bootstrap import Bootstrap
from build_tools.flash.targets import SshTarget
from build_tools.flash.wheelhouse import Board
from edge_runtime.version import __version__

from .conftest import Device

Devices = Callable[[str], Device]

INFO = f"edge_runtime-{__version__}.dist-info"


def small_runtime(folder: Path, says: str) -> None:
    """A wheel of our name with a command of our name that only speaks; without words, not even that."""
    files = {
        "said.py": f"def main():\n    print({says!r})\n",
        f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: edge-runtime\nVersion: {__version__}\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\nedge-runtime = said:main\n",
        f"{INFO}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"edge_runtime-{__version__}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            if says or name != "said.py":
                wheel.writestr(zipfile.ZipInfo(name), text)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of what pip fetches: its own wheel, and a small runtime that says the last of these words."""
    words = ["first"]

    def fetch(board: Board, extras: object, folder: Path) -> None:
        small_runtime(folder, words[-1])
        (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
        shutil.copy(pip, folder)

    monkeypatch.setattr(wheelhouse, "fetch", fetch)
    return words


def bring(folder: Path, name: str) -> int:
    """To one device, attended."""
    target = targets.parse(f"ssh://{name}")
    assert isinstance(target, SshTarget)
    folder.mkdir(exist_ok=True)
    return Bootstrap((), folder).bring(target, unattended=False)


def says(device: Device) -> str:
    """What the environment that runs has."""
    (said,) = (device.home / "store/runtime/current").glob("lib/python*/site-packages/said.py")
    return said.read_text().split("'")[1]


@pytest.mark.install
def test_bring(devices: Devices, fetched: list[str], tmp_path: Path) -> None:
    """Once; then nothing is sent. One that does not start changes nothing, the next one takes its place."""
    device = devices("pi")
    assert bring(tmp_path / "w", "pi") > 100_000
    runtime = device.home / "store/runtime"
    assert not list(runtime.glob("*/wheels"))
    assert bring(tmp_path / "w", "pi") == 0
    fetched.append("")
    with pytest.raises(
        FlashError, match=r"the runtime cannot be installed there: ModuleNotFoundError: .*said"
    ):
        bring(tmp_path / "w", "pi")
    assert says(device) == "first"
    fetched.append("second")
    assert bring(tmp_path / "w", "pi") > 100_000
    assert says(device) == "second"
    assert len(list(runtime.glob(f"{__version__}-*"))) == 2


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"Welcome\n", "expected what the device is, as JSON; found 'Welcome"),
        (b'{"python":8,"machine":"aarch64","glibc":36}', "expected Python 3.10 or newer; found Python 3.8"),
        (b'{"python":11,"machine":"armv7l","glibc":36}', "a 64-bit system is needed"),
        (b'{"python":11,"machine":"aarch64","glibc":0}', "a GNU C library"),
        (b'{"python":11,"machine":"aarch64"}', "glibc: missing"),
        (b"[" * 100_000, "expected what the device is"),
    ],
)
def test_devices_that_cannot(
    devices: Devices, fetched: list[str], tmp_path: Path, answer: bytes, problem: str
) -> None:
    """One clear line, before anything is fetched."""
    (devices("pi").home / "answer").write_bytes(answer)
    with pytest.raises(FlashError, match=problem):
        bring(tmp_path / "w", "pi")


def test_no_line(devices: Devices, fetched: list[str], tmp_path: Path) -> None:
    """ssh's own words."""
    devices("pi")
    with pytest.raises(LineError, match="Could not resolve hostname gone"):
        bring(tmp_path / "w", "gone")
