"""A finished bundle takes the place of an older one, or the older one stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import edge_runtime
from build_tools.errors import BuildError
from build_tools.swap import nothing_done, recover, require_room, swap_in


def folder(path: Path, content: str) -> Path:
    """A directory with one file, deep inside."""
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_text(content, "utf-8")
    return path


def content(path: Path) -> str:
    """What `folder` wrote there."""
    return (path / "deep" / "file").read_text("utf-8")


def test_the_first_bundle(tmp_path: Path) -> None:
    """There is nothing to replace."""
    swap_in(folder(tmp_path / "new", "new"), tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_next_bundle(tmp_path: Path) -> None:
    """The old one is gone, whatever an earlier run has left."""
    folder(tmp_path / "bundle", "old")
    folder(tmp_path / "bundle.old", "older")
    swap_in(folder(tmp_path / "new", "new"), tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["bundle", "bundle.new", "bundle.old", "curves", "stages"])
def test_a_file_in_the_way(tmp_path: Path, name: str) -> None:
    """Whoever wrote it keeps it."""
    require_room(tmp_path, tmp_path / "tiny-1.0.0.edge")
    (tmp_path / name).touch()
    with pytest.raises(BuildError, match=f"/{name}: a file is where a folder is to be; move it elsewhere$"):
        require_room(tmp_path, tmp_path / "tiny-1.0.0.edge")


@pytest.mark.parametrize("name", ["tiny-1.0.0.edge", "build.yaml"])
def test_a_folder_in_the_way(tmp_path: Path, name: str) -> None:
    """No file can have its name."""
    (tmp_path / name).mkdir()
    with pytest.raises(BuildError, match=f"/{name}: a folder is where a file is to be; move it elsewhere$"):
        require_room(tmp_path, tmp_path / "tiny-1.0.0.edge")


def test_a_failure_between_the_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old bundle is put back."""
    folder(tmp_path / "bundle", "old")
    finished = folder(tmp_path / "new", "new")
    rename = Path.rename

    def fail(source: Path, target: Path) -> Path:
        if source == finished:
            raise OSError(5, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output error"):
        swap_in(finished, tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "old"
    assert not (tmp_path / "bundle.old").exists()


def test_a_kill_between_the_renames(tmp_path: Path) -> None:
    """The next build starts by putting the old bundle back."""
    folder(tmp_path / "bundle.old", "old")
    recover(tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "old"
    assert not (tmp_path / "bundle.old").exists()
    recover(tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "old"


@pytest.mark.parametrize("earlier", [True, False])
def test_a_transport_file_of_an_earlier_run(tmp_path: Path, earlier: bool) -> None:
    """Is not of the version that is interrupted, and stays; one of this run goes."""
    draft, transport = folder(tmp_path / "bundle.new", "new"), tmp_path / "tiny-1.0.1.edge"
    if earlier:
        transport.write_bytes(b"earlier")

    def interrupted() -> None:
        transport.touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), nothing_done(draft, transport, None):
        interrupted()
    assert transport.exists() is earlier
    assert not draft.exists()


def test_programs_that_have_the_old_bundle_open_keep_it(bundle_copy: Path, tmp_path: Path) -> None:
    """Mappings and file handles outlive the directory entry."""
    finished = Path(shutil.copytree(bundle_copy, tmp_path / "finished"))
    with edge_runtime.open(bundle_copy) as retriever:
        before = retriever.search("yeast dough")
        swap_in(finished, bundle_copy)
        assert retriever.search("yeast dough") == before
    with edge_runtime.open(bundle_copy) as retriever:
        assert retriever.search("yeast dough") == before
