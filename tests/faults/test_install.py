"""An install that meets a fault at every single system call: the old bundle or the new one answers, always.

See `layer` for the faults and `driver` for what is asked of the device after each. Power cuts are simulated here
from what was flushed; only a machine whose power is cut shows what a real file system keeps.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry
from edge_runtime.store.install import install

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("driver.py")


def release(bundle: Path, folder: Path, version: str) -> Path:
    """The tiny bundle under another version, with one file of its own."""
    copy = Path(shutil.copytree(bundle, folder / version))
    manifest = manifests.read(copy / manifests.FILENAME)
    quality = copy / manifest.quality
    quality.write_text(f"{quality.read_text()}# {version}\n")
    entry = FileEntry(manifest.quality, quality.stat().st_size, sha256(quality))
    files = tuple(entry if entry.path == old.path else old for old in manifest.files)
    changed = replace(manifest, version=version, files=files)
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return pack(copy, folder / f"tiny-{version}.edge")


@pytest.fixture(scope="module")
def releases(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """1.0.0 and 2.0.0, packed."""
    folder = tmp_path_factory.mktemp("releases")
    return [release(bundle, folder, version) for version in ("1.0.0", "2.0.0")]


@pytest.fixture
def device(releases: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the homes of two devices: `updated` has 1.0.0, `first` has nothing. In memory, if it can be."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (Path(folder) / "first").mkdir()
        monkeypatch.setenv("EDGE_RUNTIME_HOME", f"{folder}/updated")
        install(releases[0], self_test=None)
        yield Path(folder)


def drive(fault: str, home: Path, source: Path) -> dict[str, Any]:
    """What the driver found."""
    command = [sys.executable, "-W", "error", str(DRIVER), fault, str(home), str(source)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("fault", ["kill", "cut", "cut-contents", "EIO", "ENOSPC", "ENOSPC+"])
def test_an_update(device: Path, releases: list[Path], fault: str) -> None:
    """1.0.0 answers until 2.0.0 does, and 2.0.0 can be installed afterwards."""
    found = drive(fault, device / "updated", releases[1])
    assert found["problems"] == []
    assert set(found["found"]) == {"1.0.0", "2.0.0"}
    assert found["calls"] > 80


@pytest.mark.parametrize("fault", ["kill", "cut", "EIO+"])
def test_a_first_install(device: Path, releases: list[Path], fault: str) -> None:
    """Nothing answers until all of it does."""
    found = drive(fault, device / "first", releases[1])
    assert found["problems"] == []
    assert set(found["found"]) == {"none", "2.0.0"}
    assert found["calls"] > 80


def test_a_power_cut_would_be_noticed(device: Path, releases: list[Path], tmp_path: Path) -> None:
    """The same, on a store that forgets to flush: so the tests above would fail if this one did."""
    shutil.copytree(ROOT / "edge_runtime", tmp_path / "edge_runtime")
    disk = tmp_path / "edge_runtime/disk.py"
    source = disk.read_text()
    disk.write_text(
        source.replace("            os.fsync(descriptor)\n", "").replace("os.fsync(descriptor)", "pass")
    )
    assert "os.fsync" not in disk.read_text()
    driver = (tmp_path / "driver.py", tmp_path / "layer.py")
    for copy in driver:
        shutil.copy(DRIVER.with_name(copy.name), copy)
    command = [sys.executable, str(driver[0]), "cut-contents", str(device / "updated"), str(releases[1])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={"PYTHONPATH": str(tmp_path)}, check=False
    )
    assert json.loads(done.stdout)["problems"]
