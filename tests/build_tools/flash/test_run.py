"""Flashing to devices behind a fake ssh: what is sent, what is in use afterwards, and what came of each."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from build_tools.pack import pack
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.errors import Error, IntegrityError
from tests.versions import list_anew

from .conftest import Devices, Told, Version, bring


def test_from_nothing_to_an_update(devices: Devices, version: Version) -> None:
    """The first flash sends everything, the second only what changed, the third next to nothing."""
    device, told = devices("pi"), []
    first = bring(version("1.0.0"), device.url, told=told, self_test=True)[0]
    size = sum(entry.size for entry in manifests.read(version("1.0.0") / "manifest.yaml").files)
    assert (first.state, device.in_use()) == ("installed", "1.0.0")
    assert size < first.sent < size + 8_000
    steps = list(dict.fromkeys(step for _, step, _, _ in told))
    assert steps == ["compare", "send", "stage", "publish", "read back", "self-test", "activate"]
    assert ("ssh://pi", "send", size, size) in told
    assert device.incoming == []
    second = bring(version("1.1.0"), device.url)[0]
    assert (second.state, device.in_use()) == ("installed", "1.1.0")
    assert second.sent < 8_000
    assert "; before it 1.0.0-" in second.detail
    assert bring(version("1.1.0"), device.url)[0].state == "nothing"


def test_a_transport_file_with_a_signature(devices: Devices, version: Version, tmp_path: Path) -> None:
    """What nobody but the device checks comes along as it is."""
    folder = Path(shutil.copytree(version("1.0.0"), tmp_path / "bundle"))
    (folder / manifests.SIGNATURE).write_text("signed")
    device = devices("pi")
    assert bring(pack(folder, tmp_path / "golden.edge"), device.url)[0].state == "installed"
    installed = device.home / "store/bundles/golden/current" / manifests.SIGNATURE
    assert installed.read_text() == "signed"


def test_a_line_that_breaks(devices: Devices, version: Version) -> None:
    """Wherever it does, the old bundle answers; the next flash sends only the rest."""
    device = devices("pi")
    bring(version("1.0.0"), device.url)
    new = version("1.1.0", extra=300_000)
    for after in (3, 500, 6_000, 100_000):
        device.cut_after(after)
        broken = bring(new, device.url)[0]
        assert broken.state == "failed"
        assert "the line broke, or never stood: client_loop: send disconnect: Broken pipe" in broken.detail
        assert device.in_use() == "1.0.0"
    (part,) = device.incoming
    assert part.endswith(".part")
    arrived = (device.home / "store/incoming" / part).stat().st_size
    assert arrived > 90_000
    rest = bring(new, device.url)[0]
    assert (rest.state, device.in_use(), device.incoming) == ("installed", "1.1.0", [])
    assert rest.sent < 310_000 - arrived


def test_it_goes_on_by_itself(devices: Devices, version: Version) -> None:
    """Where a line had stood; one that never did is not tried again."""
    device, told = devices("pi"), []
    device.cut_after(50_000)
    result = bring(version("1.0.0"), device.url, retries=1, told=told)[0]
    assert (result.state, device.in_use()) == ("installed", "1.0.0")
    assert len(device.calls()) == 2
    assert "wait" in [step for _, step, _, _ in told]
    assert bring(version("1.0.0"), "ssh://gone", retries=5)[0].detail == (
        "the line broke, or never stood: ssh: Could not resolve hostname gone: Name or service not known"
    )


def test_what_arrived_was_damaged_since(devices: Devices, version: Version) -> None:
    """A part with other bytes is found out, removed, and sent whole the next time; so is a whole file."""
    device, new = devices("pi"), version("1.0.0", extra=300_000)
    device.cut_after(250_000)
    bring(new, device.url)
    incoming = device.home / "store/incoming"
    for path in incoming.iterdir():
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    first = bring(new, device.url)[0]
    assert first.state == "failed"
    assert "what came is damaged" in first.detail
    assert device.in_use() is None
    assert bring(new, device.url)[0].state == "installed"
    assert device.in_use() == "1.0.0"


def test_several(devices: Devices, version: Version, tmp_path: Path) -> None:
    """One that fails does not keep the others from anything; ssh must ask nobody for several."""
    good, old, bare = devices("good"), devices("old"), devices("bare")
    (bare.home / "bin/edge-runtime").unlink()
    (bare.home / "bin/edge-runtime").symlink_to("/nowhere")
    (old.home / "bin/edge-runtime").write_text("#!/bin/sh\necho 'invalid choice: receive' >&2\nexit 2\n")
    (tmp_path / "stick").mkdir()
    to = ["ssh://pi@good:2222", "ssh://old", "ssh://bare", "ssh://gone", f"store:{tmp_path / 'store'}"]
    results = bring(version("1.0.0"), *to, f"stick:{tmp_path / 'stick'}")
    assert [each.target for each in results[:5]] == to
    states = [each.state for each in results]
    assert states == ["installed", "failed", "failed", "failed", "installed", "copied"]
    assert "too old to be flashed; --bootstrap brings this one: invalid choice" in results[1].detail
    assert results[2].detail == "edge-runtime is not installed there; --bootstrap brings it"
    assert good.in_use() == "1.0.0"
    alive = "-T -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    assert good.calls() == [f"{alive} -o BatchMode=yes -p 2222 -- pi@good"]
    assert bring(version("1.0.0"), "ssh://good")[0].state == "nothing"
    assert good.calls()[1] == f"{alive} -- good"
    assert (tmp_path / "stick/golden-1.0.0.edge").is_file()


def test_another_store(devices: Devices, version: Version, tmp_path: Path) -> None:
    """The path of a target is the store there."""
    devices("pi")
    assert bring(version("1.0.0"), f"ssh://pi{tmp_path}/it's mine")[0].state == "installed"
    assert (tmp_path / "it's mine/bundles/golden/current").exists()


def test_a_card(version: Version, tmp_path: Path) -> None:
    """A root file system: its own store, and no self-test, which says nothing about another computer."""
    for name in ("etc", "usr", "var"):
        (tmp_path / "card" / name).mkdir(parents=True)
    told: Told = []
    result = bring(version("1.0.0"), str(tmp_path / "card"), told=told, self_test=True)[0]
    assert result.state == "installed"
    assert (tmp_path / "card/var/lib/edge-runtime/bundles/golden/current/manifest.yaml").is_file()
    assert "self-test" not in [step for _, step, _, _ in told]


def test_what_the_device_refuses(devices: Devices, version: Version) -> None:
    """In its own words, before anything is sent; what is in use stays."""
    device, told = devices("pi"), []
    bring(version("2.0.0"), device.url)
    refused = bring(version("1.0.0"), device.url, told=told)[0]
    assert refused.state == "failed"
    assert "golden 1.0.0 is older than 2.0.0, which is installed; --allow-downgrade" in refused.detail
    assert [step for _, step, _, _ in told] == ["compare"]
    assert device.in_use() == "2.0.0"
    assert bring(version("1.0.0"), device.url, allow_downgrade=True, tries=3)[0].state == "installed"
    assert device.in_use() == "1.0.0"


def test_a_bundle_that_does_not_work_there(devices: Devices, version: Version, tmp_path: Path) -> None:
    """Its golden queries give something else: it is never used, and what came stays for another try."""
    device = devices("pi")
    bring(version("1.0.0"), device.url)
    folder = Path(shutil.copytree(version("1.1.0"), tmp_path / "bundle"))
    manifest = manifests.read(folder / manifests.FILENAME)
    golden = folder / manifest.golden
    golden.write_text(golden.read_text().replace("0.", "0.9"))
    list_anew(folder)
    result = bring(folder, device.url, self_test=True)[0]
    assert result.state == "failed"
    assert "golden query" in result.detail
    assert device.in_use() == "1.0.0"
    assert sha256(golden) in device.incoming


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            b"Welcome to my device!\n",
            "not the answer of edge-runtime: expected wants or failed; found 'Welcome",
        ),
        (b'{"failed":{"error":"\x1b[31mno\\u001b[0m"}}\n', "expected wants or failed"),
        (b'{"failed":{"error":"\\u001b[31mno"}}\n', "\ufffd[31mno"),
        (
            b'{"wants":{"runtime":"1","files":[{"sha256":"%s","have":0}]}}\n' % (b"0" * 64),
            "a file that this bundle has not",
        ),
        (b'{"wants":{"runtime":"1","files":[],"more":1}}\n', "unknown key"),
        (b'{"wants":{"runtime":"1","files":[],"files":[]}}\n', "expected wants or failed"),
        (b'{"wants":{"runtime":"1","files":[{"sha256":"SHA","have":-1}]}}\n', "expected 0 or more; found -1"),
        (
            b'{"wants":{"runtime":"1","files":[{"sha256":"SHA","have":999999}]}}\n',
            "says that it has 999999 of",
        ),
        (
            b'{"wants":{"runtime":"1","files":[{"sha256":"SHA","have":0},{"sha256":"SHA","have":0}]}}\n',
            "or twice",
        ),
        (b'{"wants":{"runtime":"1","files":[]}}\n{"at":{"step":"party"}}\n', "a step that is none: 'party'"),
        (
            b'{"wants":{"runtime":"1","files":[]}}\n' + b'{"at":{"step":"stage"}}\n' * 9,
            "expected done or failed",
        ),
        (
            b'{"wants":{"runtime":"1","files":[]}}\n{"done":{"done":"party","bundle":"x"}}\n',
            "expected one of",
        ),
        (b"[" * 100_000 + b"\n", "expected wants or failed"),
        (b"x" * 3_000_000, "more than 2097152 bytes without"),
        (b"", "ended without an answer (status 0)"),
    ],
)
def test_hostile_answers(devices: Devices, version: Version, answer: bytes, problem: str) -> None:
    """A device that is none, or lies, is one clear line; nothing of it reaches the terminal as it is."""
    device = devices("evil")
    sha256 = manifests.read(version("1.0.0") / "manifest.yaml").files[0].sha256
    (device.home / "answer").write_bytes(answer.replace(b"SHA", sha256.encode()))
    (result,) = bring(version("1.0.0"), device.url, delta=False)
    assert result.state == "failed"
    assert problem in result.detail
    assert result.detail.isprintable()
    assert len(result.detail) < 700


def test_a_damaged_bundle(devices: Devices, version: Version, tmp_path: Path) -> None:
    """Is found out here, and no device hears of it."""
    folder = Path(shutil.copytree(version("1.0.0"), tmp_path / "bundle"))
    (folder / "documents.npy").write_bytes(bytes((folder / "documents.npy").stat().st_size))
    with pytest.raises(IntegrityError, match=r"documents\.npy"):
        bring(folder, devices("pi").url)
    with pytest.raises(Error, match=r"expected a \.edge file or a bundle"):
        bring(tmp_path / "gone", "ssh://pi")


def test_interrupted(devices: Devices, version: Version) -> None:
    """Ctrl-C while a device proves the bundle: the line ends, and it is never made current."""
    device = devices("pi")
    bring(version("1.0.0"), device.url)
    told: Told = []

    def interrupt() -> None:
        while not any(step == "self-test" for _, step, *_ in told):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell's background jobs, and their children, ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    (result,) = bring(version("1.1.0"), device.url, told=told, self_test=True)
    thread.join()
    signal.signal(signal.SIGINT, before)
    assert (result.state, device.in_use()) == ("interrupted", "1.0.0")
    assert result.detail == "it has what it had; what was sent is kept for the next time"
