"""Stages, locks and files that are whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from build_tools.errors import BuildError
from build_tools.recipe import ChunkSpec, StudentSpec, TrainingSpec
from build_tools.workspace import MissingStageError, Workspace, locked, new_array, write_atomically


def test_the_same_inputs_name_the_same_stage(tmp_path: Path) -> None:
    """Across processes too: the key does not depend on addresses or hash seeds."""
    stage = Workspace(tmp_path).stage("index", ChunkSpec(), 0.1, None, ("a", 1))
    script = (
        "from pathlib import Path; from build_tools.recipe import ChunkSpec;"
        "from build_tools.workspace import Workspace;"
        f"print(Workspace(Path({str(tmp_path)!r})).stage('index', ChunkSpec(), 0.1, None, ('a', 1)).key)"
    )
    root = Path(__file__).parents[2]
    again = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == stage.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0.1,), (0.1 + 1e-17 * 10,)),
        ((1,), ("1",)),
        ((None,), ("",)),
        (("a", "b"), (("a", "b"),)),
        (("ab",), ("a", "b")),
        ((ChunkSpec(),), (ChunkSpec(max_tokens=199),)),
        ((TrainingSpec(),), (TrainingSpec(learning_rate=3.0001e-4),)),
        ((StudentSpec(),), (StudentSpec(layers=(0, 2)),)),
    ],
)
def test_other_inputs_name_another_stage(
    tmp_path: Path, one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    """Any change, however small, unless the value is the same."""
    workspace = Workspace(tmp_path)
    same = one == other
    assert (workspace.stage("s", *one).key == workspace.stage("s", *other).key) is same
    assert workspace.stage("s", *one).key != workspace.stage("t", *one).key


def test_done_when_finished(tmp_path: Path) -> None:
    """Not before; the result comes back as it was."""
    stage = Workspace(tmp_path).stage("s", 1)
    assert not stage.done
    stage.finish({"passages": 3, "name": "ä"})
    again = Workspace(tmp_path).stage("s", 1)
    assert again.done
    assert again.result == {"passages": 3, "name": "ä"}


@pytest.mark.parametrize("name", ["done.json", "vectors.npy", "scores.npy"])
def test_a_frozen_workspace(tmp_path: Path, name: str) -> None:
    """Has finished stages alone, and makes none."""
    frozen = Workspace(tmp_path, frozen=True)
    with pytest.raises(MissingStageError, match="is not there, or not finished"):
        frozen.stage("s", 1)
    assert list(tmp_path.iterdir()) == []
    stage = Workspace(tmp_path).stage("s", 1)
    (stage.directory / "shard-64-000000.npy").touch()
    with pytest.raises(MissingStageError):
        frozen.stage("s", 1)
    (stage.directory / name).touch()
    assert frozen.stage("s", 1) == stage


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """And no unfinished one beside it, whatever stopped it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    """An OSError, and nothing is left."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "file", lambda file: file.write(b"new"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second gets an error that names the folder; after the first has let go it gets the lock."""
    home = tmp_path / "new" / "tiny"
    with (
        locked(home),
        pytest.raises(BuildError, match="tiny: another edge-build is at work here"),
        locked(home),
    ):
        pass
    with locked(home):
        pass


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """It, or a folder above."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "tiny"):
        with pytest.raises(BuildError, match=f"^{place}: a file is where a folder is to be"), locked(place):
            pass


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    """However it ends: nobody has to delete a stale lock file."""
    script = (
        "import os, signal; from pathlib import Path; from build_tools.workspace import locked\n"
        f"with locked(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert (tmp_path / "lock").exists()
    with locked(tmp_path):
        pass


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A write fails without saying where; the error does."""

    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(tmp_path / "file", fail)
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_an_array_to_be_filled(tmp_path: Path) -> None:
    """An .npy file with all of its space, as every reader of the format takes it."""
    array = new_array(tmp_path / "a.npy", np.int8, (1000, 300))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 300_000
    array[:] = 7
    array.flush()
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.full((1000, 300), 7, np.int8))


def test_no_room_for_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before it is filled: a page that cannot be written would end the process."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        new_array(tmp_path / "a.npy", np.float32, (10, 3))
    assert caught.value.filename == str(tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []
