"""Flashing an emulated board over its ssh: first, updated, over a line that breaks, and back."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

from build_tools import cli
from edge_runtime import manifest as manifests
from tests import versions

pytestmark = pytest.mark.device

Flash = Callable[..., dict[str, object]]

WRAPPER = """
mkdir -p /usr/local/bin
printf '#!/bin/sh\\nPYTHONPATH={path} exec python3 -m edge_runtime.cli "$@"\\n' > /usr/local/bin/edge-runtime
chmod +x /usr/local/bin/edge-runtime
"""


@pytest.fixture(scope="module")
def device(runtime: Runtime) -> Iterator[Runtime]:
    """On, with edge-runtime on its PATH and nothing installed."""
    with runtime.machine.powered(Hardware("cortex-a72")):
        path = f"{runtime.machine.mount_point(1)}:{runtime.machine.mount_point(0)}"
        runtime.machine.run("sh", "-c", WRAPPER.format(path=path))
        runtime.empty_store()
        yield runtime


@pytest.fixture
def flash(
    device: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Flash:
    """``edge-build flash`` to it with the system's ssh, to which the test adds the board's key and port."""
    real = shutil.which("ssh")
    assert real
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shlex.join([real, *device.machine.ssh_options()])} "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def run(bundle: Path, *options: str, store: str = "", status: int = 0) -> dict[str, object]:
        arguments = ["flash", str(bundle), "--to", f"ssh://root@127.0.0.1{store}", "--json", *options]
        assert cli.main(arguments) == status, capsys.readouterr().err
        (result,) = json.loads(capsys.readouterr().out)
        return dict(result)

    return run


def test_flash_search_update_roll_back(
    device: Runtime, flash: Flash, two_engines: Path, tmp_path: Path
) -> None:
    """The board proves and measures what it was sent; an update sends what is new in its files."""
    noise = "".join(map(chr, random.Random(7).choices(range(0x4E00, 0x9E00), k=100_000)))
    old, new = (
        versions.another(two_engines, tmp_path / number, number, note=noise) for number in ("1.0.0", "1.1.0")
    )
    size = sum(entry.size for entry in manifests.read(old / manifests.FILENAME).files)
    first = flash(old)
    assert first["state"] == "installed"
    assert size < int(str(first["sent"])) < size + 20_000
    hits = device.report("search", "tiny", "yeast and dough")["hits"]
    assert hits[0]["key"].startswith("bread")
    report = device.report("bench", "tiny", "-n", "20", "--warm-up", "2", "--cold-starts", "0")
    assert report["device"]["cpu"] == "Cortex-A72"
    assert 0 < report["total"]["p50"] <= report["total"]["max"]
    second = flash(new)
    assert second["state"] == "installed"
    assert int(str(second["sent"])) < 20_000, "rsync sends what is new in a card of 300,000 bytes"
    assert device.report("search", "tiny", "yeast and dough")["hits"] == hits
    assert str(second["detail"]).startswith("1.1.0-")
    assert device.report("rollback", "tiny")["current"].startswith("1.0.0-")
    assert device.report("search", "tiny", "yeast and dough")["hits"] == hits


def test_a_line_that_breaks(device: Runtime, flash: Flash, two_engines: Path, tmp_path: Path) -> None:
    """ssh is killed on the board in the middle of a file: the next flash sends the rest of it."""
    before = device.report("status")[0]["current"]
    new = versions.another(two_engines, tmp_path / "new", "1.2.0", note="x" * 30_000_000)
    watch = "until [ $(cat /var/lib/edge-runtime/incoming/*.part 2>/dev/null | wc -c) -gt 1000000 ]; "
    watch += "do sleep 0.05; done; for p in $(pidof sshd); do [ $p = $(cat /run/sshd.pid) ] || kill $p; done"
    with device.machine.popen("sh", "-c", f"setsid sh -c '{watch}' >/dev/null 2>&1 &"):
        broken = flash(new, "--retries", "0", "--no-delta", status=1)
    assert broken["state"] == "failed"
    assert "the line broke" in str(broken["detail"])
    assert device.report("status")[0]["current"] == before
    rest = flash(new)
    assert rest["state"] == "installed"
    assert int(str(rest["sent"])) < 29_500_000
    assert device.report("status")[0]["current"].startswith("1.2.0-")


@pytest.mark.long
def test_bootstrap(device: Runtime, flash: Flash, two_engines: Path) -> None:
    """A store without a runtime, on a board without a network: it gets one from here, with both engines."""
    assert flash(two_engines, "--bootstrap", store="/data/edge")["state"] == "installed"
    program = "/data/edge/runtime/current/bin/edge-runtime"
    found = device.machine.run(
        "env", "EDGE_RUNTIME_HOME=/data/edge", program, "search", "tiny", "yeast", "--json"
    )
    assert json.loads(found.stdout)["hits"][0]["key"].startswith("bread")
