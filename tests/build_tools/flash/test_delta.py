"""rsync inside of large files: what it saves, and that without it, or against it, the whole file goes."""

from __future__ import annotations

import random
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from build_tools.errors import LineError
from build_tools.flash import delta, source, targets
from build_tools.flash.run import Result
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.store.messages import PROTOCOL, Offer, Still, encode
from tests import versions

from .conftest import GOLDEN, Device, Devices, bring, program

SIZE = 400_000
needs_rsync = pytest.mark.skipif(not delta.available(), reason="rsync is not installed here")


@pytest.fixture(scope="session")
def editions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two versions of a bundle with a large card, which no compression shrinks and which differs little."""
    folder = tmp_path_factory.mktemp("editions")
    noise = "".join(map(chr, random.Random(7).choices(range(0x4E00, 0x9E00), k=SIZE // 3)))
    made = {
        number: versions.another(GOLDEN, folder / number, number, name="golden", note=noise)
        for number in ("1.0.0", "1.1.0")
    }
    card = manifests.read(made["1.1.0"] / manifests.FILENAME).quality
    content = (made["1.1.0"] / card).read_text()
    middle = len(content) // 2
    (made["1.1.0"] / card).write_text(content[:middle] + " and a word more " + content[middle:])
    versions.list_anew(made["1.1.0"])
    return made


def card(bundle: Path) -> Path:
    """The large file."""
    return bundle / manifests.read(bundle / manifests.FILENAME).quality


def fake_rsync(device: Device, script: str) -> None:
    """Puts a program in rsync's place on a device; `{real}` is the right one, `{folder}` where it writes."""
    real = shutil.which("rsync") or "false"
    folder = shlex.quote(str(device.home / "store/incoming/delta"))
    program(device.home / "bin/rsync", script.format(real=real, folder=folder))


def updated(device: Device, editions: dict[str, Path], **options: object) -> Result:
    """Brings 1.0.0, then 1.1.0; the first one's files must be untouched by that."""
    assert bring(editions["1.0.0"], device.url)[0].state == "installed"
    old = (device.home / "store/bundles/golden/current").resolve()
    before = card(old).stat()
    (result,) = bring(editions["1.1.0"], device.url, **options)  # type: ignore[arg-type]
    after = card(old).stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns, after.st_mode) == (
        *(before.st_ino, before.st_size, before.st_mtime_ns),
        before.st_mode,
    )
    Bundle.open(old, verify="full").close()
    return result


def went_whole(device: Device, result: Result) -> bool:
    """Whether it is installed, and nothing was saved, nor left."""
    assert (result.state, device.in_use(), device.incoming) == ("installed", "1.1.0", [])
    return result.sent > SIZE * 0.9


@needs_rsync
def test_only_what_differs_is_sent(devices: Devices, editions: dict[str, Path]) -> None:
    """A few kilobytes of 400: of which the result tells; the file before is neither written nor touched."""
    device, told = devices("pi"), []
    result = updated(device, editions, told=told)
    assert (result.state, device.in_use(), device.incoming) == ("installed", "1.1.0", [])
    assert 3_000 < result.sent < 20_000
    assert "whole" not in result.detail
    steps = list(dict.fromkeys(step for _, step, _, _ in told))
    assert steps[:3] == ["compare", "delta", "send"]
    assert ("ssh://pi", "send", 0, 0) in told
    assert device.calls()[2].endswith("-o BatchMode=yes -- pi")


@needs_rsync
def test_a_user_a_port_and_another_store(devices: Devices, editions: dict[str, Path], tmp_path: Path) -> None:
    """rsync's ssh is called as the other; no shell reads the store's name."""
    device, store = devices("pi"), tmp_path / "it's $HOME; a store"
    for number, bundle in editions.items():
        (result,) = bring(bundle, f"ssh://me@pi:2222{store}")
        assert (result.state, store.joinpath("bundles/golden/current").resolve().name[:5]) == (
            "installed",
            number,
        )
    assert result.sent < 20_000
    assert device.calls()[2].endswith("-o BatchMode=yes -p 2222 -l me -- pi")


@needs_rsync
def test_several_at_once(devices: Devices, editions: dict[str, Path]) -> None:
    """Each has an rsync of its own."""
    found = [devices(name) for name in ("one", "two", "three")]
    urls = [device.url for device in found]
    bring(editions["1.0.0"], *urls)
    results = bring(editions["1.1.0"], *urls)
    assert [device.in_use() for device in found] == ["1.1.0"] * 3
    assert all(each.sent < 20_000 for each in results)


def test_not_asked_for(devices: Devices, editions: dict[str, Path]) -> None:
    """``--no-delta``: one connection, the whole file."""
    device = devices("pi")
    assert went_whole(device, updated(device, editions, delta=False))
    assert len(device.calls()) == 2


def test_no_rsync_here(devices: Devices, editions: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the device is not asked."""
    monkeypatch.setattr(delta, "PROGRAM", "no-such-rsync")
    device = devices("pi")
    assert went_whole(device, updated(device, editions))
    assert len(device.calls()) == 2


def test_it_vanished_here(
    devices: Devices, editions: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question and the call."""
    monkeypatch.setattr(delta, "PROGRAM", "no-such-rsync")
    monkeypatch.setattr("build_tools.flash.run.available", lambda: True)
    device = devices("pi")
    result = updated(device, editions)
    assert went_whole(device, result)
    assert result.detail.endswith("files went whole: no-such-rsync: No such file or directory")


def test_an_old_runtime(devices: Devices, editions: dict[str, Path]) -> None:
    """It does not know the option, and says so as argparse does; it is asked again without."""
    device = devices("pi")
    runtime = device.home / "bin/edge-runtime"
    body = runtime.read_text().removeprefix("#!/bin/sh\n")
    refuse = 'case "$*" in *--delta*) echo "unrecognized arguments: --delta" >&2; exit 2;; esac'
    program(runtime, f"{refuse}\n{body}")
    assert went_whole(device, updated(device, editions))


@needs_rsync
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'sh: rsync: not found' >&2; exit 127", "rsync ended with status"),
        ("echo 'This account is for flashing only'; exit 1", "rsync ended with status"),
        ("kill -9 $$", "rsync ended with status"),
        ('head -c 300 | {real} "$@"; exit 1', "rsync ended with status"),
        ("for f in {folder}/*; do head -c {size} /dev/urandom > $f.new; mv $f.new $f; done", "rsync ended"),
        (
            "cd {folder}; for f in *; do rm $f; ln -s /etc/passwd $f; mkdir x; echo > x/y; done",
            "",
        ),
        ("rm -r {folder}; echo > {folder}", "rsync ended with status"),
    ],
    ids=["missing", "refused", "killed", "broken", "garbage", "link", "file"],
)
def test_it_fails_there(devices: Devices, editions: dict[str, Path], script: str, problem: str) -> None:
    """Whatever it leaves is looked at, thrown away, and the whole file sent; the result says why."""
    device = devices("pi")
    fake_rsync(device, script.replace("{size}", str(card(editions["1.1.0"]).stat().st_size)))
    result = updated(device, editions)
    assert went_whole(device, result)
    assert "; files went whole: " in result.detail
    assert problem in result.detail


@needs_rsync
def test_it_says_that_all_is_well(devices: Devices, editions: dict[str, Path]) -> None:
    """What it made has the right size and other bytes, and its status is 0: found out all the same."""
    device = devices("pi")
    flip = "; cd {folder}; for f in *; do tail -c +2 $f > n; printf '~' > $f; cat n >> $f; rm n; done"
    fake_rsync(device, '{real} "$@"; s=$?' + flip + "; exit $s")
    assert went_whole(device, updated(device, editions))


@needs_rsync
def test_a_damaged_edition(devices: Devices, editions: dict[str, Path]) -> None:
    """What rsync starts from need not be sound: what it makes is proven."""
    device = devices("pi")
    bring(editions["1.0.0"], device.url)
    older = card(device.home / "store/bundles/golden/current")
    with older.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(5_000))
    (result,) = bring(editions["1.1.0"], device.url)
    assert (result.state, device.in_use()) == ("installed", "1.1.0")
    assert result.sent < 40_000


@needs_rsync
def test_rsync_is_killed_here(
    devices: Devices, editions: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle: the older edition stays, and the whole file goes."""
    device = devices("pi")
    fake_rsync(device, 'echo > $HOME/begun; sleep 30; exec {real} "$@"')
    run = delta.Delta._wait

    def wait_and_kill(self: delta.Delta, process: object, still: Callable[[], object]) -> None:
        until((device.home / "begun").exists)
        self._kill(process)  # type: ignore[arg-type]
        run(self, process, still)  # type: ignore[arg-type]

    monkeypatch.setattr(delta.Delta, "_wait", wait_and_kill)
    result = updated(device, editions)
    assert went_whole(device, result)
    assert result.detail.endswith("rsync ended with status -9")


@needs_rsync
@pytest.mark.parametrize("retries", [0, 1])
def test_a_line_that_breaks_meanwhile(
    devices: Devices, editions: dict[str, Path], monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    """While rsync runs: the same flash goes on with whole files; a flash after it may use rsync again."""
    device = devices("pi")
    assert bring(editions["1.0.0"], device.url)[0].state == "installed"
    monkeypatch.setattr("build_tools.flash.run.Delta", partial(delta.Delta, still_seconds=0.05))
    fake_rsync(device, 'echo > $HOME/begun; sleep 20; exec {real} "$@"')
    manifest = (editions["1.1.0"] / manifests.FILENAME).stat().st_size
    said = [encode(message) for message in (Offer(PROTOCOL, manifest, None), Still(), Still())]
    device.cut_after(manifest + sum(map(len, said)) + 3)  # in the third Still
    result = bring(editions["1.1.0"], device.url, retries=retries)[0]
    assert (device.home / "begun").exists()
    if retries:
        assert went_whole(device, result)
        return
    assert (result.state, device.in_use()) == ("failed", "1.0.0")
    assert "the line broke" in result.detail
    (device.home / "bin/rsync").unlink()
    result = bring(editions["1.1.0"], device.url)[0]
    assert (result.state, device.in_use(), device.incoming) == ("installed", "1.1.0", [])
    assert result.sent < 20_000


@needs_rsync
def test_what_a_dead_flash_left(devices: Devices, editions: dict[str, Path]) -> None:
    """Is removed by the next one, and used for nothing."""
    device = devices("pi")
    bring(editions["1.0.0"], device.url)
    left = device.home / "store/incoming/delta"
    left.mkdir()
    entry = manifests.read(editions["1.1.0"] / manifests.FILENAME).quality
    sha256 = next(
        e.sha256 for e in manifests.read(editions["1.1.0"] / manifests.FILENAME).files if e.path == entry
    )
    (left / sha256).write_bytes(bytes(card(editions["1.1.0"]).stat().st_size))
    (left / f".{sha256}.Ab12Cd").write_text("half")
    (result,) = bring(editions["1.1.0"], device.url)
    assert (result.state, device.in_use(), device.incoming) == ("installed", "1.1.0", [])
    assert result.sent < 20_000


@needs_rsync
def test_interrupted(devices: Devices, editions: dict[str, Path]) -> None:
    """Ctrl-C, from another thread: rsync and its ssh end, and the rest is not begun."""
    device = devices("pi")
    fake_rsync(device, "echo $$ > $HOME/begun; exec sleep 60")
    bring(editions["1.0.0"], device.url)
    bundle = device.home / "store/bundles/golden/current"
    target = targets.parse(device.url)
    assert isinstance(target, targets.SshTarget)
    running = delta.Delta(target)
    raised = []
    with source.opened(editions["1.1.0"]) as opened:
        entry = opened.manifest.entry(opened.manifest.quality)

        def work() -> None:
            try:
                running.bring(opened, [entry], str(device.home), still=lambda: None)
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        until((device.home / "begun").exists)
        running.end()
        thread.join(20)
        assert not thread.is_alive()
        with pytest.raises(LineError, match="interrupted"):
            running.bring(opened, [entry], str(device.home), still=lambda: None)
    assert (running.problem, raised) == (f"rsync ended with status -{int(signal.SIGKILL)}", [])
    Bundle.open(bundle, verify="full").close()


@needs_rsync
def test_it_takes_long(devices: Devices, editions: dict[str, Path]) -> None:
    """Meanwhile the device hears of it; what that raises ends rsync."""
    device, heard = devices("pi"), []
    fake_rsync(device, "exec sleep 60")
    target = targets.parse(device.url)
    assert isinstance(target, targets.SshTarget)

    def still() -> None:
        heard.append(1)
        if len(heard) == 3:
            raise LineError("the line broke")

    with source.opened(editions["1.1.0"]) as opened, pytest.raises(LineError, match="the line broke"):
        delta.Delta(target, still_seconds=0.01).bring(opened, [], str(device.home), still=still)
    assert len(heard) == 3


def test_what_rsync_is_called_with() -> None:
    """Hosts and users are words that no option can hide in; an IPv6 address has its brackets."""
    for text, shell, there in (
        ("ssh://me@[fe80::1%eth0]:22", "-p 22 -l me --", "[fe80::1%eth0]:/a b/"),
        ("ssh://pi", "-o BatchMode=yes --", "pi:/a b/"),
    ):
        target = targets.parse(text)
        assert isinstance(target, targets.SshTarget)
        called = delta.command(target, "/links", "/a b")
        assert called[-3:] == ["--", "/links/", there]
        assert called[called.index("-e") + 1].endswith(shell)


WANTS = b'{"wants":{"runtime":"1","files":[{"sha256":"SHA","have":HAVE}]}}\n'


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (WANTS + b'{"bases":{"folder":"/x","files":["' + b"0" * 64 + b'"]}}\n', "that it does not want"),
        (WANTS + b'{"bases":{"folder":"/x","files":["SHA","SHA"]}}\n', "or one twice"),
        (WANTS + b'{"bases":{"folder":"/x","files":["../x"]}}\n', "64 lower-case hexadecimal digits"),
        (WANTS.replace(b"HAVE", b"9") + b'{"bases":{"folder":"/x","files":["SHA"]}}\n', "does not want"),
        (
            WANTS + b'{"bases":{"folder":"relative","files":["SHA"]}}\n' + b'{"bases":{}}\n',
            "expected wants or",
        ),
        (WANTS + b'{"at":{"step":"stage"}}\n', "expected bases or failed"),
        (
            b'{"wants":{"runtime":"1","files":[]}}\n{"bases":{"folder":"/x","files":["SHA"]}}\n',
            "does not want",
        ),
    ],
)
def test_hostile_answers(devices: Devices, editions: dict[str, Path], answer: bytes, problem: str) -> None:
    """A device that lies is one clear line, and no rsync."""
    device = devices("evil")
    sha256 = next(e.sha256 for e in manifests.read(editions["1.1.0"] / manifests.FILENAME).files)
    answer = answer.replace(b"HAVE", b"0").replace(b"SHA", sha256.encode())
    (device.home / "answer").write_bytes(answer)
    (result,) = bring(editions["1.1.0"], device.url)
    assert result.state == "failed"
    assert problem in result.detail
    assert len(device.calls()) == 1


def until(true: Callable[[], bool]) -> None:
    """Waits, twenty seconds at most."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
