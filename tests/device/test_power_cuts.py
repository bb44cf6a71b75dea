"""Power cuts in the middle of installs: after each, the old bundle or the new one answers, whole.

QEMU is killed, so what the machine's kernel had not written to the disk is lost. A real drive may lose its
own cache as well; that is not emulated.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry
from edge_runtime.store.install import Step

pytestmark = pytest.mark.device

HARDWARE = Hardware("cortex-a72")
NEW = "/data/new"
CUTS_EACH = 3
ENDED = "ended"
STEPS = (*(step.value for step in Step if step is not Step.CHECK), ENDED)
"""The first step writes nothing."""

INSTALL = """
import sys
from edge_runtime.store.install import install
told = []
def tell(step, done, total):
    if step not in told:
        told.append(step)
        print(step.value, flush=True)
test = lambda bundle: None  # the golden queries write nothing, and take longer than all the rest
install(sys.argv[1], self_test=test, allow_downgrade=True, progress=tell)
print("ended", flush=True)
"""

ASK = """
import edge_runtime
with edge_runtime.open("tiny", verify="full") as retriever:
    assert retriever.search("yeast", mode="lexical")
    print(retriever.info().version)
"""


@pytest.fixture(scope="module")
def device(
    runtime: Runtime, two_engines: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """On, with version 1.0.0 installed; 1.1.0, with a file of 4 MB of its own, lies beside the store."""
    folder = Path(shutil.copytree(two_engines, tmp_path_factory.mktemp("new") / "bundle"))
    quality = folder / "quality.yaml"
    quality.write_bytes(quality.read_bytes() + b"# " + bytes(4 << 20).replace(b"\0", b"x") + b"\n")
    manifest = manifests.read(folder / manifests.FILENAME)
    entry = FileEntry("quality.yaml", quality.stat().st_size, sha256(quality))
    files = tuple(entry if each.path == entry.path else each for each in manifest.files)
    changed = replace(manifest, version="1.1.0", files=files)
    (folder / manifests.FILENAME).write_bytes(manifests.dump(changed))
    runtime.machine.boot(HARDWARE)
    try:
        runtime.command("install", runtime.bundle)
        runtime.machine.copy(folder, NEW)
        runtime.machine.run("sync")
        yield runtime
    finally:
        runtime.machine.cut_power()


def cut(device: Runtime, source: str, step: str, delay: float) -> None:
    """Begins an install on the device and cuts the power so many seconds into a step."""
    with device.popen(INSTALL, source) as installing:
        assert installing.stdout is not None
        for line in installing.stdout:
            if line.strip() == step:
                time.sleep(delay)
                device.machine.cut_power()
                break
        else:
            raise AssertionError(f"it never came to {step}: {installing.wait()}")


def answering(device: Runtime) -> str:
    """The version that answers; all of its bytes are proven, and it does answer."""
    return device.python(ASK).stdout.strip()


@pytest.mark.parametrize("step", STEPS * CUTS_EACH)
def test_a_power_cut_in_an_install(device: Runtime, step: str, request: pytest.FixtureRequest) -> None:
    """At each step, at some moment of it; once an install has ended, its bundle answers for good."""
    before = answering(device)
    source, after = (NEW, "1.1.0") if before == "1.0.0" else (device.bundle, "1.0.0")
    moment = random.Random(request.node.name).uniform(0, 0.2)
    cut(device, source, step, 0 if step == ENDED else moment)
    device.machine.boot(HARDWARE)
    assert answering(device) in ({after} if step == ENDED else {before, after})


def test_the_next_install_works(device: Runtime) -> None:
    """With its self-test; what cuts have left is cleaned up."""
    device.command("install", NEW)
    assert answering(device) == "1.1.0"
    assert device.machine.run("ls", "/var/lib/edge-runtime/staging").stdout == ""
