"""A fault at every system call of whatever changes a store: the old bundle or the new one answers, always.

See `layer` for the faults and `driver` for what is asked of the device after each. Power cuts are simulated
from what was flushed; only a machine whose power is cut shows what a real file system keeps.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.store.install import install

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("driver.py")


@pytest.fixture
def device(releases: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two devices: `updated` has 1.0.0, `first` has nothing. In memory, where that is possible."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (Path(folder) / "first").mkdir()
        monkeypatch.setenv("EDGE_RUNTIME_HOME", f"{folder}/updated")
        install(releases[0], self_test=None)
        yield Path(folder)


def drive(fault: str, home: Path, source: Path, how: str = "install") -> dict[str, Any]:
    """What the driver found."""
    command = [sys.executable, "-W", "error", str(DRIVER), fault, str(home), str(source), how]
    environment = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
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


@pytest.mark.parametrize("fault", ["kill", "cut", "cut-contents", "EIO", "ENOSPC", "ENOSPC+"])
def test_a_flash(device: Path, releases: list[Path], fault: str) -> None:
    """Over a line, with rsync, which starts from the very file that answers: the same promises."""
    found = drive(fault, device / "updated", releases[1], "receive")
    assert found["problems"] == []
    assert set(found["found"]) == {"1.0.0", "2.0.0"}
    assert found["calls"] > 120


@pytest.mark.parametrize("fault", ["kill", "cut", "EIO", "ENOSPC"])
def test_a_rollback(device: Path, releases: list[Path], fault: str) -> None:
    """2.0.0 answers until 1.0.0 does."""
    install(releases[1], self_test=None)
    found = drive(fault, device / "updated", releases[1], "rollback")
    assert found["problems"] == []
    assert set(found["found"]) == {"1.0.0", "2.0.0"}
    assert found["calls"] > 15


@pytest.mark.parametrize("fault", ["kill", "cut", "EIO", "EIO+"])
def test_a_prune(device: Path, releases: list[Path], fault: str) -> None:
    """2.0.0 answers all the time, and 1.0.0 is whole or gone."""
    install(releases[1], self_test=None)
    found = drive(fault, device / "updated", releases[1], "prune")
    assert found["problems"] == []
    assert set(found["found"]) == {"2.0.0"}
    assert found["calls"] > 15


@pytest.mark.parametrize("fault", ["kill", "cut", "cut-contents", "EIO", "ENOSPC"])
def test_a_repair(device: Path, releases: list[Path], fault: str) -> None:
    """Damaged in two places until both are as they were, and never more than before."""
    install(releases[1], self_test=None)
    for name in ("documents.sqlite", "golden.jsonl"):
        path = device / "updated/bundles/tiny/current" / name
        content = path.read_bytes()
        path.unlink()  # the other version has it, too
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = drive(fault, device / "updated", releases[1], "repair")
    assert found["problems"] == []
    assert set(found["found"]) == {"damaged", "2.0.0"}
    assert found["calls"] > 15


def test_a_power_cut_would_be_noticed(device: Path, releases: list[Path], tmp_path: Path) -> None:
    """The same, on a store that forgets to flush: so the tests above would fail if this one did."""
    shutil.copytree(ROOT / "edge_runtime", tmp_path / "edge_runtime")
    disk = tmp_path / "edge_runtime/disk.py"
    source = disk.read_text()
    disk.write_text(source.replace("os.fsync(descriptor)", "pass"))
    assert "os.fsync" not in disk.read_text()
    driver = [tmp_path / name for name in ("driver.py", "layer.py", "sender.py")]
    for copy in driver:
        shutil.copy(DRIVER.with_name(copy.name), copy)
    command = [sys.executable, str(driver[0]), "cut-contents", str(device / "updated"), str(releases[1])]
    command.append("install")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={"PYTHONPATH": str(tmp_path)}, check=False
    )
    assert json.loads(done.stdout)["problems"]
