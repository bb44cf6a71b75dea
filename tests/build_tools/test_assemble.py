"""Gates, dates, and swapping a finished bundle in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import edge_runtime
from build_tools import assemble
from build_tools.assemble import check_gates, created, recover, swap_in
from build_tools.errors import BuildError, GateError
from build_tools.evaluate import Parity, QualityCard
from build_tools.recipe import GatesSpec

GATES = GatesSpec(cosine_mean=0.99, cosine_min=0.95, index_recall=0.98)


def card(*, mean: float = 0.99, least: float = 0.95, recall: float | None = 0.98) -> QualityCard:
    """A card with the figures that have gates."""
    return QualityCard("labels", 1, (), (Parity("e", 9, mean, least),), recall)


def test_figures_at_the_gates_pass() -> None:
    """And so does a figure that was not measured."""
    check_gates(card(), GATES, Path("draft"))
    check_gates(card(recall=None), GATES, Path("draft"))


@pytest.mark.parametrize(
    ("measured", "short"),
    [
        (card(mean=0.9899), ["e cosine_mean: 0.9899, gate 0.9900"]),
        (card(least=0.5), ["e cosine_min: 0.5000, gate 0.9500"]),
        (card(recall=0.97), ["index_recall: 0.9700, gate 0.9800"]),
        (card(mean=float("nan")), ["e cosine_mean: nan, gate 0.9900"]),
        (
            card(mean=0, least=-1, recall=0),
            ["e cosine_mean: 0.0000", "e cosine_min: -1.0000", "index_recall: 0.0000"],
        ),
    ],
)
def test_figures_that_fall_short(measured: QualityCard, short: list[str]) -> None:
    """Each has a line; the message says where the draft is."""
    with pytest.raises(GateError) as caught:
        check_gates(measured, GATES, Path("out/bundle.new"))
    first, *lines = str(caught.value).splitlines()
    assert "draft is kept in out/bundle.new" in first
    assert [line.strip().startswith(start) for line, start in zip(lines, short, strict=True)] == [True] * len(
        short
    )


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


def test_programs_that_have_the_old_bundle_open_keep_it(bundle_copy: Path, tmp_path: Path) -> None:
    """Mappings and file handles outlive the directory entry."""
    finished = Path(shutil.copytree(bundle_copy, tmp_path / "finished"))
    with edge_runtime.open(bundle_copy) as retriever:
        before = retriever.search("yeast dough")
        swap_in(finished, bundle_copy)
        assert retriever.search("yeast dough") == before
    with edge_runtime.open(bundle_copy) as retriever:
        assert retriever.search("yeast dough") == before


def test_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """The given second in UTC, or now."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert created() == "1970-01-02T00:00:00Z"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert created() > "2025"


@pytest.mark.parametrize("value", ["abc", "1.5", "9" * 30])
def test_a_wrong_date(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One clear error."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(
        BuildError, match=f"SOURCE_DATE_EPOCH: expected whole seconds since 1970; found '{value}'"
    ):
        created()


def test_every_file_is_listed(bundle: Path) -> None:
    """The manifest names all files but itself, and both licences."""
    from edge_runtime import manifest as manifests

    manifest = manifests.read(bundle / manifests.FILENAME)
    found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {entry.path for entry in manifest.files} == found - {manifests.FILENAME}
    assert [licence.licence for licence in manifest.licences] == ["CC0-1.0", "unknown"]
    assert manifest.encoders[0].tokenizer == assemble.TOKENIZER
