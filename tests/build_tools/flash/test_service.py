"""The systemd service of a device behind a fake ssh; its systemctl writes down what it is asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tools import cli
from build_tools.errors import FlashError
from build_tools.flash import service, targets
from build_tools.flash.targets import SshTarget

from .conftest import ROOT, Device, Version, program

Devices = Callable[[str], Device]

SYSTEMCTL = """\
echo "$@" >> "$HOME/systemctl"
while [ "${1#-}" != "$1" ]; do shift; done
case $1 in
is-enabled) test -e "$HOME/enabled";;
enable) : > "$HOME/enabled";;
esac"""


@dataclass(frozen=True)
class Board:
    """A device with a runtime in its store, and where it has its units."""

    device: Device
    units: Path

    @property
    def unit(self) -> Path:
        """The service's."""
        return self.units / service.NAME

    def asked(self) -> list[str]:
        """Of systemctl since the last time, but for whether it is there at all."""
        log = self.device.home / "systemctl"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if "show" not in line]


def board(device: Device, units: Path, *, user: str = "", lingers: str = "no") -> Board:
    """With systemd; as root unless a user is given."""
    home = device.home
    number = 1000 if user else 0
    program(home / "bin/id", f"[ $1 = -u ] && echo {number} || echo {user or 'root'}")
    program(home / "bin/systemctl", SYSTEMCTL)
    program(home / "bin/loginctl", f"echo {lingers}")
    current = home / "store/runtime/current/bin"
    current.mkdir(parents=True)
    program(current / "edge-runtime", f'PYTHONPATH={ROOT} exec {sys.executable} -m edge_runtime.cli "$@"')
    program(current / "python", f'exec {sys.executable} "$@"')
    return Board(device, units)


@pytest.fixture
def system(devices: Devices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """One that is reached as root; its units are not this computer's."""
    monkeypatch.setattr(service, "SYSTEM_FOLDER", str(tmp_path / "units"))
    return board(devices("pi"), tmp_path / "units")


def install(name: str = "pi") -> str:
    """On one device, attended."""
    target = targets.parse(f"ssh://{name}")
    assert isinstance(target, SshTarget)
    return service.install(target, unattended=False)


def test_for_root(system: Board) -> None:
    """Written, read by systemd, enabled; then nothing is left to do, and another unit is overwritten."""
    assert install() == "edge-runtime.service written; it runs at each start"
    text = system.unit.read_text()
    assert text == service.unit(str(system.device.home / "store"), system=True)
    assert system.asked() == ["daemon-reload", f"is-enabled -q {service.NAME}", f"enable -q {service.NAME}"]
    written = system.unit.stat()
    assert install() == "edge-runtime.service was there; it runs at each start"
    assert system.unit.stat().st_mtime_ns == written.st_mtime_ns
    assert system.unit.stat().st_ino == written.st_ino
    assert system.asked() == [f"is-enabled -q {service.NAME}"]
    system.unit.write_text("of an older version")
    (system.device.home / "enabled").unlink()
    assert install().startswith("edge-runtime.service written")
    assert system.unit.read_text() == text
    assert system.asked()[-1] == f"enable -q {service.NAME}"
    assert [path.name for path in system.units.iterdir()] == [service.NAME]


@pytest.mark.parametrize(
    ("lingers", "when"),
    [
        ("yes", "it runs at each start"),
        ("no", "it runs only once pat logs in; 'sudo loginctl enable-linger' there changes that"),
    ],
)
def test_for_a_user(
    devices: Devices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lingers: str, when: str
) -> None:
    """Among that user's units, by that user's systemd."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    device = devices("pi")
    found = board(device, device.home / ".config/systemd/user", user="pat", lingers=lingers)
    assert install() == f"edge-runtime.service written; {when}"
    assert found.unit.read_text() == service.unit(str(device.home / "store"), system=False)
    assert all(line.startswith("--user ") for line in found.asked())


def test_no_systemd(system: Board) -> None:
    """One line, and no unit; what is to be done instead is in it."""
    program(
        system.device.home / "bin/systemctl", "echo 'System has not been booted with systemd' >&2; exit 1"
    )
    hint = "have 'edge-runtime prove' run at its start"
    assert install() == f"no edge-runtime.service: systemd does not run there; {hint}"
    assert not system.units.exists()


def test_no_runtime(system: Board) -> None:
    """Of this store, or one that cannot prove bundles yet: nothing is written."""
    older = system.device.home / "store/runtime/current/bin/edge-runtime"
    program(older, "echo 'invalid choice: prove' >&2; exit 2")
    with pytest.raises(FlashError, match=r"no runtime in .*/store/runtime that can prove .*; --bootstrap"):
        install()
    older.unlink()
    with pytest.raises(FlashError, match="--bootstrap brings it"):
        install()
    assert not system.units.exists()


def test_a_step_that_fails(system: Board) -> None:
    """systemd's own words."""
    masked = "echo 'Unit edge-runtime.service is masked.' >&2; exit 1"
    refusing = f"case $1 in enable) {masked};; is-enabled) exit 1;; esac"
    program(system.device.home / "bin/systemctl", refusing)
    with pytest.raises(FlashError, match=r"cannot be set up there: Unit edge-runtime.service is masked\."):
        install()


@pytest.mark.parametrize("answer", [b"Welcome\n", b'{"root": 3}', b"[" * 100_000])
def test_other_answers(system: Board, answer: bytes) -> None:
    """One clear line."""
    (system.device.home / "answer").write_bytes(answer)
    with pytest.raises(FlashError, match="expected what the device runs, as JSON"):
        install()


@pytest.mark.parametrize(
    "root", ["/a b", "relative", "/100%", "/a\nExecStart=/bin/sh", "/$HOME", '/"', "/é", "/"]
)
def test_paths_that_systemd_might_misread(root: str) -> None:
    """Get no unit."""
    with pytest.raises(FlashError, match="expected an absolute path of letters"):
        service.unit(root, system=True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("system", [True, False])
def test_systemd_reads_it(tmp_path: Path, system: bool) -> None:
    """Without a word: every key and value is one that it knows."""
    program_there = tmp_path / "runtime/current/bin/edge-runtime"
    program_there.parent.mkdir(parents=True)
    program(program_there, "exit 0")
    path = tmp_path / service.NAME
    path.write_text(service.unit(str(tmp_path), system=system))
    arguments = [] if system else ["--user"]
    command = ["systemd-analyze", *arguments, "verify", "--man=no", str(path)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    said = [line for line in done.stderr.splitlines() if service.NAME in line]
    assert said == []
    path.write_text(path.read_text().replace("ProtectSystem=strict", "ProtectSystem=strictly"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert f"{service.NAME}:" in done.stderr
    assert "ignoring: strictly" in done.stderr


def flash(bundle: Path, capsys: pytest.CaptureFixture[str], *, status: int = 0) -> dict[str, str]:
    """The command, to one device."""
    command = ["flash", str(bundle), "--no-self-test", "--service", "--json", "--to", "ssh://pi"]
    assert cli.main(command) == status
    (result,) = json.loads(capsys.readouterr().out)
    return dict(result)


def test_flash_and_start(system: Board, version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    """The service comes after the bundle; what the unit runs proves it."""
    result = flash(version("1.0.0"), capsys)
    assert result["state"] == "installed"
    assert result["detail"].endswith("; edge-runtime.service written; it runs at each start")
    (command,) = [line for line in system.unit.read_text().splitlines() if line.startswith("ExecStart=")]
    variable = f"EDGE_RUNTIME_HOME={system.device.home / 'store'}"
    assert f"Environment={variable}" in system.unit.read_text()
    started = ["env", variable, *command.partition("=")[2].split()]
    done = subprocess.run(started, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.startswith("golden: 1.0.0-")
    assert done.stdout.endswith(": as built\n")


def test_flash_without_systemd(system: Board, version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    """The flash itself has succeeded, and says what is missing."""
    (system.device.home / "bin/systemctl").unlink()
    program(system.device.home / "bin/systemctl", "exit 127")
    result = flash(version("1.0.0"), capsys)
    assert result["state"] == "installed"
    assert "no edge-runtime.service: systemd does not run there" in result["detail"]


def test_flash_where_it_fails(system: Board, version: Version, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said that the bundle is there; the target failed, for it has not all that was asked for."""
    (system.device.home / "store/runtime/current/bin/edge-runtime").unlink()
    result = flash(version("1.0.0"), capsys, status=1)
    assert result["state"] == "failed"
    assert "1.0.0-" in result["detail"]
    assert "; but edge-runtime.service cannot be set up there: no runtime in" in result["detail"]
    assert system.device.in_use() == "1.0.0"
