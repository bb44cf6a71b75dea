"""What the device keeps: where, in what form, and what comes of damaged files and of writers that meet."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import state
from edge_runtime.errors import StateError
from edge_runtime.schema import SchemaError
from edge_runtime.state import Calibration, Rung, State

ROOT = Path(__file__).parents[2]

SLOW = Rung("layers3", "onnxruntime 1.23.2", p50_ms=12.5, p99_ms=20.25, quality=0.64)
FAST = Rung("static", "numpy 2.2.0", p50_ms=0.5, p99_ms=0.75)
CALIBRATION = Calibration(
    bundle="0" * 64,
    encoder="static",
    budget_ms=10.0,
    rungs=(SLOW, FAST),
    when="2026-01-31T12:00:00+00:00",
    cpu="Cortex-A72",
    runtime="0.2.0",
)


def of(number: int) -> Calibration:
    """The calibration of another bundle."""
    return replace(CALIBRATION, bundle=f"{number:064x}")


def file_of(home: Path) -> Path:
    """The state file of the bundles called tiny, in a folder that is there."""
    file = home / "bundles/tiny/state.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def test_nothing_is_known_at_first(home: Path) -> None:
    """And reading creates nothing."""
    assert state.read("tiny") == State()
    assert State().calibration("0" * 64) is None
    assert not home.exists()


def test_what_is_recorded_is_read(home: Path) -> None:
    """Under the bundle's name and by its digest; the chosen rung is found."""
    assert state.record("tiny", CALIBRATION) == home / "bundles/tiny/state.yaml"
    assert state.read("tiny").calibrations == (CALIBRATION,)
    assert state.read("tiny").calibration("0" * 64) == CALIBRATION
    assert state.read("tiny").calibration("1" * 64) is None
    assert state.read("other") == State()
    assert CALIBRATION.chosen == FAST


def test_the_file_is_plain_yaml(home: Path) -> None:
    """For people to read, and only what there is."""
    value = yaml.safe_load(state.record("tiny", CALIBRATION).read_text("utf-8"))
    assert value["calibrations"][0]["encoder"] == "static"
    assert value["calibrations"][0]["rungs"][1] == {
        "id": "static",
        "engine": "numpy 2.2.0",
        "p50_ms": 0.5,
        "p99_ms": 0.75,
    }


def test_a_processor_without_a_name(home: Path) -> None:
    """Some kernels do not tell; that is written down and read back."""
    nameless = replace(CALIBRATION, cpu=None)
    state.record("tiny", nameless)
    assert state.read("tiny").calibrations == (nameless,)


def test_the_newest_of_a_bundle_replaces_the_older(home: Path) -> None:
    """One calibration a digest, the newest first."""
    state.record("tiny", of(1))
    state.record("tiny", of(2))
    again = replace(of(1), budget_ms=5.0)
    state.record("tiny", again)
    assert state.read("tiny").calibrations == (again, of(2))


def test_a_calibration_holds_for_about_as_many_passages(home: Path) -> None:
    """Up to twice as many, and half; the newest of those, or else one that says what it was made with."""
    few, many = replace(CALIBRATION, passages=1000), replace(CALIBRATION, passages=5000)
    assert [few.holds_for(n) for n in (499, 500, 2000, 2001, None)] == [False, True, True, False, False]
    assert CALIBRATION.holds_for(None)
    assert not CALIBRATION.holds_for(1000)
    known = State().plus(CALIBRATION).plus(few).plus(many)
    assert known.calibrations == (many, few, CALIBRATION)
    found = [known.calibration("0" * 64, passages) for passages in (900, 9000, 90_000, None)]
    assert found == [few, many, many, CALIBRATION]
    newer = replace(CALIBRATION, passages=1500)
    assert known.plus(newer).calibrations == (newer, many, CALIBRATION)
    state.record("tiny", newer)
    assert state.read("tiny").calibrations == (newer,)


def test_versions_of_long_ago_are_forgotten(home: Path) -> None:
    """The file does not grow with every new bundle."""
    for number in range(state.MAX_CALIBRATIONS + 3):
        state.record("tiny", of(number))
    kept = [int(known.bundle, 16) for known in state.read("tiny").calibrations]
    assert kept == list(range(state.MAX_CALIBRATIONS + 2, 2, -1))


def test_the_choice_must_be_among_the_measured() -> None:
    """Or there would be nothing to compare it with."""
    with pytest.raises(SchemaError, match="encoder: expected one of the rungs; found 'layers6'"):
        replace(CALIBRATION, encoder="layers6")


DAMAGED: list[bytes] = [
    b"\xff\xfe",
    b"calibrations: [",
    b"calibrations: {}",
    b"calibrations: [{bundle: x}]",
    b"calibrations: []\nfrom_the_future: 1",
    b"[]",
    b"",
    b"null",
    b"a: &a 1\nb: *a",
    b"calibrations: []\ncalibrations: []",
    b"[" * 100_000,
    b" " * (state.MAX_BYTES + 1),
]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_one_error_and_is_replaced(home: Path, data: bytes) -> None:
    """Reading names the file and what to do; the next calibration does not care."""
    file_of(home).write_bytes(data)
    with pytest.raises(StateError, match=r"state\.yaml: damaged, or written by another version") as caught:
        state.read("tiny")
    assert str(caught.value).endswith("; calibrate again")
    assert "\n" not in str(caught.value)
    state.record("tiny", CALIBRATION)
    assert state.read("tiny").calibrations == (CALIBRATION,)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_any_damage_is_a_state_or_an_error(data: st.DataObject) -> None:
    """A few bytes changed, lost or added."""
    spoiled = bytearray(state._dump(State((CALIBRATION, of(1)))))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = state.parse(bytes(spoiled))
    except StateError:
        return
    assert all(known.chosen for known in found.calibrations)


MakeUnreadable = Callable[[Path], object]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda file: file.mkdir(), "not a plain file; remove it and calibrate again"),
        (os.mkfifo, "not a plain file; remove it and calibrate again"),
        (lambda file: file.symlink_to("/proc/self/mem"), r"cannot be read \(Input/output error\)"),
    ],
    ids=["directory", "pipe", "unreadable"],
)
def test_what_is_no_file_is_not_read(home: Path, make: MakeUnreadable, problem: str) -> None:
    """A named pipe would wait for ever."""
    make(file_of(home))
    with pytest.raises(StateError, match=f"state.yaml: {problem}"):
        state.read("tiny")


@pytest.mark.parametrize("target", ["elsewhere", "bundles/tiny/state.yaml"])
def test_a_link_to_nowhere_is_no_state(home: Path, target: str) -> None:
    """Nor is one to itself. It is replaced by a file, and what it pointed at is not created."""
    file_of(home).symlink_to(home / target)
    assert state.read("tiny") == State()
    state.record("tiny", CALIBRATION)
    assert not file_of(home).is_symlink()
    assert not (home / "elsewhere").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where a folder should be, as good as a read-only disk: the way out is in the error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "file"))
    problem = r"state.yaml: cannot be written \(Not a directory\); set EDGE_RUNTIME_HOME to a folder that can"
    with pytest.raises(StateError, match=problem):
        state.record("tiny", CALIBRATION)
    with pytest.raises(StateError, match=problem):
        state.check_writable("tiny")
    assert state.read("tiny") == State()


def test_a_place_that_can_be_written(home: Path) -> None:
    """Asking records nothing, and takes nothing away: not even what is damaged."""
    state.check_writable("tiny")
    assert not file_of(home).exists()
    file_of(home).write_bytes(b"[")
    state.check_writable("tiny")
    assert file_of(home).read_bytes() == b"["


def test_a_power_cut_while_writing_changes_nothing(home: Path) -> None:
    """What is left of an unfinished write is neither read nor in the way."""
    state.record("tiny", of(1))
    (file_of(home).parent / "state.yaml.new").write_bytes(b"calibrations:\n- bun")
    assert state.read("tiny").calibrations == (of(1),)
    state.record("tiny", of(2))
    assert state.read("tiny").calibrations == (of(2), of(1))
    assert sorted(path.name for path in file_of(home).parent.iterdir()) == ["state.lock", "state.yaml"]


@pytest.mark.parametrize("cpu", ["\udce9", "x" * state.MAX_BYTES], ids=["surrogate", "large"])
def test_what_could_not_be_read_again_is_not_written(home: Path, cpu: str) -> None:
    """The next writer would count it as empty, and all that was known would be lost."""
    state.record("tiny", of(1))
    with pytest.raises(StateError, match=r"state\.yaml: not written, for it could not be read again \("):
        state.record("tiny", replace(of(2), cpu=cpu))
    assert state.read("tiny").calibrations == (of(1),)


def test_a_lock_that_others_keep(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may only read it can do that: a writer gives up in time, and says so."""
    state.record("tiny", of(1))
    monkeypatch.setattr(state, "_WAIT_SECONDS", 0.1)
    with (file_of(home).parent / "state.lock").open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_SH)
        with pytest.raises(StateError, match=r"another process has held .*state\.lock for 0 s"):
            state.record("tiny", of(2))
    state.record("tiny", of(2))
    assert state.read("tiny").calibrations == (of(2), of(1))


def test_a_lock_that_is_something_else(home: Path, tmp_path: Path) -> None:
    """A named pipe is not waited for; what a link leads to is not emptied."""
    state.record("tiny", of(1))
    lock = file_of(home).parent / "state.lock"
    lock.unlink()
    os.mkfifo(lock)
    state.record("tiny", of(2))
    lock.unlink()
    (tmp_path / "kept").write_text("kept")
    lock.symlink_to(tmp_path / "kept")
    with pytest.raises(StateError, match="cannot be written"):
        state.record("tiny", of(3))
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_failed_write_leaves_the_old_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: the error says so and the old state is still there."""
    state.record("tiny", of(1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left on device"):
        state.record("tiny", of(2))
    monkeypatch.undo()
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(home))
    assert state.read("tiny").calibrations == (of(1),)


def test_threads_that_write_at_once_lose_nothing(home: Path) -> None:
    """Each adds its own to what the others wrote; readers see a whole file at every moment."""
    numbers = range(state.MAX_CALIBRATIONS)
    with ThreadPoolExecutor(8) as pool:
        seen = pool.map(lambda number: (state.record("tiny", of(number)), state.read("tiny"))[1], numbers)
    assert all(one.calibrations for one in seen)
    assert {int(known.bundle, 16) for known in state.read("tiny").calibrations} == set(numbers)


WRITER = """
import sys
from dataclasses import replace
from edge_runtime import state
from edge_runtime.state import Calibration, Rung
rung = Rung("a", "e", p50_ms=1.0, p99_ms=2.0)
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    state.record("tiny", Calibration(f"{number:064x}", "a", 1.0, (rung,), "now", None, "0"))
"""


def test_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    """As above, across processes."""
    half, whole = state.MAX_CALIBRATIONS // 2, state.MAX_CALIBRATIONS
    ranges = [(0, half), (half, whole)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(first), str(end)], cwd=ROOT)
        for first, end in ranges
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {int(known.bundle, 16) for known in state.read("tiny").calibrations} == set(range(whole))


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Somebody who is not root and has set nothing."""
    for name in ("EDGE_RUNTIME_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    return monkeypatch


def test_where_the_state_is(user: pytest.MonkeyPatch) -> None:
    """The first of these that applies."""
    assert state.root() == Path("/home/ada/.local/share/edge-runtime")
    user.setenv("XDG_DATA_HOME", "not/absolute")
    assert state.root() == Path("/home/ada/.local/share/edge-runtime")
    user.setenv("XDG_DATA_HOME", "/data")
    assert state.root() == Path("/data/edge-runtime")
    user.setattr(os, "geteuid", lambda: 0)
    assert state.root() == Path("/var/lib/edge-runtime")
    user.setenv("EDGE_RUNTIME_HOME", "")
    assert state.root() == Path("/var/lib/edge-runtime")
    user.setenv("EDGE_RUNTIME_HOME", "/srv/edge")
    assert state.root() == Path("/srv/edge")
    assert state.path("tiny") == Path("/srv/edge/bundles/tiny/state.yaml")


def test_a_user_without_a_home(user: pytest.MonkeyPatch) -> None:
    """A service account: the way out is in the error."""

    def homeless(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    user.setattr(Path, "home", classmethod(homeless))
    with pytest.raises(StateError, match="no home directory; set EDGE_RUNTIME_HOME to a folder"):
        state.read("tiny")
    with pytest.raises(StateError, match="no home directory"):
        state.record("tiny", CALIBRATION)
    with pytest.raises(StateError, match="no home directory"):
        state.check_writable("tiny")
