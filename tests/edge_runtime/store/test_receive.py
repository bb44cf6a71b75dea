"""The device's half of a flash, against senders that are wrong, hostile, silent or gone."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import manifest as manifests
from edge_runtime.errors import BundleError, Error, StoreError
from edge_runtime.store import arrivals, layout, lock, receive, sources
from edge_runtime.store.install import install
from edge_runtime.store.messages import Activate, Blob, Offer, Still, Tried, encode
from edge_runtime.store.prune import prune

Release = Callable[..., Path]
Answers = list[dict[str, Any]]


def talk(
    *said: bytes, silence_seconds: float = 5.0, stay: bool = False, delta: bool = False
) -> tuple[Error | None, Answers]:
    """All that a sender says, at once; the error, and what the device answers."""
    reading, theirs = os.pipe()
    ours, writing = os.pipe()
    heard = bytearray()

    def listen() -> None:
        with os.fdopen(ours, "rb") as pipe:
            heard.extend(pipe.read())

    def speak() -> None:
        with suppress(BrokenPipeError), os.fdopen(theirs, "wb", buffering=0) as pipe:
            for each in said:
                written = 0
                while written < len(each):
                    written += pipe.write(each[written:]) or 0
            over.wait(10 if stay else 0)

    over = threading.Event()
    threads = [threading.Thread(target=each) for each in (listen, speak)]
    for each in threads:
        each.start()
    error = None
    try:
        line = receive.Line(reading, writing, silence_seconds=silence_seconds)
        receive.receive(line, self_test=None, delta=delta)
    except Error as caught:
        error = caught
    finally:
        os.close(writing)
        os.close(reading)
        over.set()
        for each in threads:
            each.join()
    return error, [json.loads(line) for line in heard.splitlines()]


def offer(release: Path) -> tuple[bytes, manifests.Manifest, dict[str, bytes]]:
    """What offers a transport file, its manifest, and its contents by sha256."""
    with sources.opened(release) as incoming:
        contents = {entry.sha256: b"".join(pieces or ()) for entry, pieces in incoming.files()}
        message = encode(Offer(1, len(incoming.manifest_bytes))) + incoming.manifest_bytes
        return message, incoming.manifest, contents


def blobs(manifest: manifests.Manifest, contents: dict[str, bytes]) -> list[bytes]:
    """Everything, as a device without anything wants it."""
    return [
        encode(Blob(each, 0)) + contents[each] for each in dict.fromkeys(e.sha256 for e in manifest.files)
    ]


def test_everything_said_at_once(home: Path, release: Release) -> None:
    """A sender need not wait for answers that it can foresee; the store is as after an install."""
    message, manifest, contents = offer(release("1.0.0"))
    error, answers = talk(message, *blobs(manifest, contents), encode(Activate()))
    assert error is None
    assert [next(iter(answer)) for answer in answers] == ["wants", "at", "at", "at", "at", "done"]
    assert [each["sha256"] for each in answers[0]["wants"]["files"]] == list(contents)
    assert layout.current("tiny") is not None
    assert list(layout.incoming().iterdir()) == []
    assert install(release("1.0.0"), self_test=None).done == "nothing"


LARGE = "a card of more than sixty-four kilobytes " * 3000


def update(release: Release) -> tuple[bytes, manifests.Manifest, dict[str, bytes]]:
    """1.0.0 is installed, with a large card; the offer of 1.1.0, which has another."""
    install(release("1.0.0", card=LARGE), self_test=None)
    return offer(release("1.1.0", card=LARGE))


def test_delta_without_an_older_edition(home: Path, release: Release) -> None:
    """Where nothing could be saved, the conversation is as without it, but for a word that says so."""
    message, manifest, contents = offer(release("1.0.0"))
    error, answers = talk(message, *blobs(manifest, contents), encode(Activate()), delta=True)
    assert error is None
    assert [next(iter(answer)) for answer in answers] == ["wants", "bases", "at", "at", "at", "at", "done"]
    assert answers[1]["bases"]["files"] == []


def test_delta_of_which_nothing_came(home: Path, release: Release) -> None:
    """The sender has tried: what is lacking is asked for a second time, and goes whole."""
    message, manifest, contents = update(release)
    card = manifest.entry(manifest.quality).sha256
    said = [encode(Still()), encode(Still()), encode(Tried()), encode(Blob(card, 0)) + contents[card]]
    error, answers = talk(message, *said, encode(Activate()), delta=True)
    assert error is None
    assert [next(iter(answer)) for answer in answers[:4]] == ["wants", "bases", "wants", "at"]
    assert answers[1]["bases"] == {"folder": str(layout.incoming() / "delta"), "files": [card]}
    assert answers[0] == answers[2]
    assert list(layout.incoming().iterdir()) == []


def test_delta_that_was_not_asked_for(home: Path, release: Release) -> None:
    """A word of it is a word that no sender of that kind says."""
    message, _, _ = update(release)
    for word in (Still(), Tried()):
        error, answers = talk(message, encode(word))
        assert "expected blob" in str(error)
        assert [next(iter(answer)) for answer in answers] == ["wants", "failed"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([Tried(), Tried()], 'expected blob; found \'{"tried":{}}'),
        ([Tried(), Still()], 'expected blob; found \'{"still":{}}'),
        ([Blob("0" * 64, 0)], 'expected still or tried; found \'{"blob":'),
        ([Still()] * 4, "rsync did not end in time; flash again with --no-delta"),
        ([Still()], "the line ended"),
    ],
)
def test_delta_of_senders_that_are_wrong(
    home: Path, release: Release, monkeypatch: pytest.MonkeyPatch, said: list[Any], problem: str
) -> None:
    """One clear line, nothing left, and the bundle before in use."""
    monkeypatch.setattr(receive, "MAX_STILLS", 3)
    message, _, _ = update(release)
    error, _ = talk(message, *map(encode, said), delta=True)
    assert problem in str(error)
    assert list(layout.incoming().iterdir()) == []
    current = layout.current("tiny")
    assert current is not None
    assert manifests.read(current / manifests.FILENAME).version == "1.0.0"


def test_what_came_cannot_be_removed(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle is in use by then, and the sender is told so; the next flash removes it."""
    message, manifest, contents = offer(release("1.0.0"))

    def refuse() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "clear", refuse)
        error, answers = talk(message, *blobs(manifest, contents), encode(Activate()))
    assert error is None
    assert answers[-1]["done"]["done"] == "installed"
    assert {path.name for path in layout.incoming().iterdir()} == set(contents)
    error, answers = talk(message, encode(Activate()))
    assert error is None
    assert answers[-1]["done"]["done"] == "nothing"
    assert list(layout.incoming().iterdir()) == []


def test_nobody_lets_it_in(home: Path, release: Release) -> None:
    """Without Activate nothing becomes current; what came is kept, and taken by any install."""
    message, manifest, contents = offer(release("1.0.0"))
    error, answers = talk(message, *blobs(manifest, contents))
    assert str(error) == "the line ended; flash again to go on"
    assert answers[-1] == {"failed": {"error": "the line ended; flash again to go on"}}
    assert layout.current("tiny") is None
    assert {path.name for path in layout.incoming().iterdir()} == set(contents)
    assert install(release("1.0.0"), self_test=None).written == 0
    prune("tiny")
    assert list(layout.incoming().iterdir()) == []


def test_silence(home: Path, release: Release) -> None:
    """A line that broke without a word is given up, and the next sender gets in."""
    message, _, _ = offer(release("1.0.0"))
    error, _ = talk(message, silence_seconds=0.1, stay=True)
    assert str(error) == "the sender was silent for 0 s; flash again to go on"
    with lock.receiver(wait_seconds=0):
        pass


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"", "the line ended"),
        (b"GET / HTTP/1.1\r\n", "expected offer; found 'GET / HTTP"),
        (b"x" * (3 << 20), "expected a line; found more than 2097152 bytes"),
        (b'{"offer":{"protocol":2,"manifest":1}}\n', "speaks version 2 of this protocol"),
        (b'{"offer":{"protocol":1,"manifest":2000000}}\n', "expected 0 to 1048576 bytes; found 2000000"),
        (b'{"offer":{"protocol":1,"manifest":-1}}\n', "expected 0 to 1048576 bytes; found -1"),
        (b'{"offer":{"protocol":1,"manifest":1,"signature":99999}}\n', "expected 0 to 16384 bytes"),
        (b'{"offer":{"protocol":true,"manifest":1}}\n', "expected a whole number"),
        (b'{"offer":{"protocol":1,"manifest":10}}\nshort', "the line ended"),
        (b'{"offer":{"protocol":1,"manifest":4}}\nnope', "the sender, manifest.yaml"),
    ],
)
def test_senders_that_are_none(home: Path, said: bytes, problem: str) -> None:
    """One clear line on both sides, and nothing is made but the lock's folder."""
    error, answers = talk(said)
    assert problem in str(error)
    assert answers == [{"failed": {"error": str(error)}}]
    assert not (home / "bundles").exists()


def test_bytes_that_are_not_wanted(home: Path, release: Release) -> None:
    """Another file, another place in it, other bytes: refused, and not kept."""
    message, manifest, contents = offer(release("1.0.0"))
    first = manifest.files[0]
    for wrong in (Blob("0" * 64, 0), Blob(first.sha256, 1), Blob(first.sha256, -1)):
        error, _ = talk(message, encode(wrong), contents[first.sha256])
        assert isinstance(error, StoreError)
        assert "expected the bytes of" in str(error)
    error, _ = talk(message, encode(Blob(first.sha256, 0)), bytes(first.size))
    assert isinstance(error, BundleError)
    assert f"{first.path}: what came is damaged" in str(error)
    assert list(layout.incoming().iterdir()) == []


def test_only_one_bundle_waits(home: Path, release: Release) -> None:
    """What another one has left is removed, links and folders too; a part goes on where it was."""
    message, manifest, contents = offer(release("1.0.0"))
    first = manifest.files[0]
    layout.incoming().mkdir(parents=True)
    (layout.incoming() / ("1" * 64)).write_text("left")
    (layout.incoming() / "folder").mkdir()
    (layout.incoming() / f"{first.sha256}.part").symlink_to("/etc/passwd")
    error, answers = talk(message, encode(Blob(first.sha256, 0)), contents[first.sha256][:100])
    assert error is not None
    assert answers[0]["wants"]["files"][0] == {"sha256": first.sha256, "have": 0}
    assert [path.name for path in layout.incoming().iterdir()] == [f"{first.sha256}.part"]
    assert arrivals.begun(first) == 100
    rest = encode(Blob(first.sha256, 100)) + contents[first.sha256][100:]
    error, answers = talk(message, rest, *blobs(manifest, contents)[1:], encode(Activate()))
    assert error is None
    assert answers[0]["wants"]["files"][0] == {"sha256": first.sha256, "have": 100}


def test_a_part_that_is_longer_than_the_file(home: Path, release: Release) -> None:
    """Is no beginning of it."""
    message, manifest, contents = offer(release("1.0.0"))
    first = manifest.files[0]
    layout.incoming().mkdir(parents=True)
    (layout.incoming() / f"{first.sha256}.part").write_bytes(bytes(first.size + 1))
    error, answers = talk(message, *blobs(manifest, contents), encode(Activate()))
    assert error is None
    assert answers[0]["wants"]["files"][0]["have"] == 0


def test_an_installed_file_was_damaged(home: Path, release: Release) -> None:
    """It is asked for again, and the update does not take the damage over."""
    install(release("1.0.0"), self_test=None)
    current = layout.current("tiny")
    assert current is not None
    table = current / "documents.npy"
    table.write_bytes(bytes(table.stat().st_size))
    message, manifest, contents = offer(release("1.1.0"))
    wanted = [manifest.entry("documents.npy"), manifest.entry(manifest.quality)]
    wanted.sort(key=manifest.files.index)
    said = [encode(Blob(each.sha256, 0)) + contents[each.sha256] for each in wanted]
    error, answers = talk(message, *said, encode(Activate()))
    assert error is None
    assert [each["sha256"] for each in answers[0]["wants"]["files"]] == [each.sha256 for each in wanted]


def test_no_room(home: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is sent; what has begun to arrive counts as there."""
    message, manifest, _ = offer(release("1.0.0"))
    total = sum(entry.size for entry in manifest.files)
    monkeypatch.setattr("edge_runtime.disk.free_bytes", lambda path: (32 << 20) + total // 2)
    error, answers = talk(message)
    assert "edge-runtime prune makes room" in str(error)
    assert [next(iter(answer)) for answer in answers] == ["failed"]


def test_two_at_once(home: Path, release: Release) -> None:
    """The second waits for the first; a prune meanwhile leaves alone what arrives."""
    with lock.receiver(wait_seconds=0):
        (layout.incoming() / ("1" * 64)).write_text("arriving")
        with pytest.raises(StoreError, match="another edge-runtime"), lock.receiver(wait_seconds=0):
            pass
        prune()
    assert arrivals.whole() == {("1" * 64, 8): layout.incoming() / ("1" * 64)}


def test_a_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: Release
) -> None:
    """Says what to do."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "file/home"))
    error, _ = talk(offer(release("1.0.0"))[0])
    assert "cannot be written (Not a directory); use sudo, or set EDGE_RUNTIME_HOME" in str(error)
