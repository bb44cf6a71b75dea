"""New encoders for an existing bundle: a new version, the same documents and indexes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import edge_runtime
from build_tools import record
from build_tools.errors import BuildError, GateError, RecipeError
from build_tools.progress import Progress
from build_tools.redistil import redistil
from edge_runtime import manifest as manifests
from tests.build_tools.updates import digests, everything

KEPT = ("dense.usearch", "documents.sqlite", "documents.npy")


def test_another_rung(home: Path) -> None:
    """One layer instead of two: index, words and documents are byte-identical, the version rises."""
    before = digests(home / "bundle")
    index = (home / "bundle" / "dense.usearch").read_bytes()
    built = redistil(
        home / "bundle",
        ["encoders=[{id: layers1, layers: [1], max_tokens: 32, steps: 20}]", "gates.cosine_min=0.5"],
        Progress(),
    )
    after = digests(built.bundle)
    kept = [path for path in before if path in KEPT or path.startswith("lexical/")]
    assert {path: after[path] for path in kept} == {path: before[path] for path in kept}
    assert (built.bundle / "dense.usearch").read_bytes() == index
    manifest = manifests.read(built.bundle / "manifest.yaml")
    assert (manifest.version, [spec.id for spec in manifest.encoders]) == ("1.0.1", ["layers1"])
    assert built.transport.name == "tiny-1.0.1.edge"
    assert (home / "tiny-1.0.0.edge").exists()
    with edge_runtime.open(built.bundle, encoder="layers1") as retriever:
        assert retriever.search("oven", k=1)
    again = record.read(home)
    assert again is not None
    assert again.recipe.version == "1.0.1"


def test_the_documents_may_be_gone(home: Path, tmp_path: Path, corpus_file: Path) -> None:
    """They are read from the bundle: the source is not looked at."""
    path = home / "build.yaml"
    path.write_text(path.read_text("utf-8").replace(str(corpus_file), str(tmp_path / "gone.jsonl")), "utf-8")
    built = redistil(home / "bundle", ["encoders.0.steps=10", "version=2.0.0"], Progress())
    assert manifests.read(built.bundle / "manifest.yaml").version == "2.0.0"


@pytest.mark.parametrize("override", ["chunk.max_tokens=64", "teacher.ndim=16", "index.connectivity=8"])
def test_what_the_index_depends_on(home: Path, override: str) -> None:
    """Is refused, by the name of its section."""
    with pytest.raises(BuildError, match=f"^{override.split('.')[0]}: documents or indexes depend on it"):
        redistil(home / "bundle", [override], Progress())


@pytest.mark.parametrize("version", ["1.0.0", "0.9.9"])
def test_the_version_must_rise(home: Path, version: str) -> None:
    """The same version as the recipe's rises by itself; a lower one is refused."""
    if version == "1.0.0":
        built = redistil(home / "bundle", ["encoders.0.steps=5", f"version={version}"], Progress())
        assert built.transport.name == "tiny-1.0.1.edge"
        return
    with pytest.raises(BuildError, match=r"version 0\.9\.9: expected more than 1\.0\.0"):
        redistil(home / "bundle", [f"version={version}"], Progress())


def test_a_version_that_was_made_before(home: Path) -> None:
    """Its transport file may be on a device, and is not written anew."""
    (home / "tiny-1.0.5.edge").write_bytes(b"earlier")
    with pytest.raises(BuildError, match=r"version 1\.0\.5: was made here before"):
        redistil(home / "bundle", ["version=1.0.5"], Progress())
    assert (home / "tiny-1.0.5.edge").read_bytes() == b"earlier"


def test_a_missed_gate_leaves_the_old_bundle(home: Path) -> None:
    """The draft is kept for inspection, and the bundle answers as before."""
    before, curves = digests(home / "bundle"), everything(home / "curves")
    with pytest.raises(GateError, match="gate at least"):
        redistil(home / "bundle", ["encoders.0.steps=5", "gates.retention=5"], Progress())
    assert digests(home / "bundle") == before
    assert everything(home / "curves") == curves
    assert (home / "bundle.new" / "manifest.yaml").exists()


@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize(
    ("step", "error"),
    [("redistil.pack", OSError(28, "No space left")), ("make.swap_in", KeyboardInterrupt())],
)
def test_interrupted_late(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, updated: bool
) -> None:
    """The old bundle stands with its record, so the same command goes on and an update is not lost."""
    record.write(replace(record.need(home), updated=updated), home)
    seen: list[bool] = []

    def strike(*_: object) -> None:
        seen.append(record.need(home).current)
        raise error

    before = everything(home)
    monkeypatch.setattr(f"build_tools.{step}", strike)
    with pytest.raises(type(error)):
        redistil(home / "bundle", ["encoders.0.steps=4"], Progress())
    after = everything(home)
    assert {name: after[name] for name in after if not name.startswith("stages/")} == before
    # Switched off between record and swap, a build must not take the old bundle for the new one.
    assert seen == [step == "redistil.pack" and not updated]
    monkeypatch.undo()
    assert redistil(home / "bundle", ["encoders.0.steps=4"], Progress()).transport.name == "tiny-1.0.1.edge"
    assert (record.need(home).updated, record.need(home).current) == (updated, not updated)


def test_a_corpus_that_changed_since(home: Path, tmp_path: Path, corpus_file: Path) -> None:
    """The bundle has the documents of before, so a build must not take it for its own."""
    source = shutil.copyfile(corpus_file, tmp_path / "documents.jsonl")
    recipe = record.need(home).recipe
    recipe = replace(recipe, corpus=replace(recipe.corpus, path=str(source)))
    record.write(replace(record.need(home), recipe=recipe, inputs=record.inputs_of(recipe)), home)
    with source.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "new", "title": "zebra", "text": "The zebra is striped."}) + "\n")
    redistil(home / "bundle", ["encoders.0.steps=4"], Progress())
    assert (record.need(home).updated, record.need(home).current) == (False, False)


def test_a_damaged_bundle(home: Path) -> None:
    """Nothing is built on it."""
    path = home / "bundle" / "documents.sqlite"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(edge_runtime.IntegrityError, match=r"documents\.sqlite"):
        redistil(home / "bundle", [], Progress())


def test_no_recipe(home: Path) -> None:
    """A bundle alone does not say what it was made from."""
    (home / "build.yaml").unlink()
    with pytest.raises(BuildError, match=r"has no build\.yaml"):
        redistil(home / "bundle", [], Progress())


def test_a_bundle_elsewhere(home: Path) -> None:
    """The directory must stand in its build folder."""
    (home / "bundle").rename(home / "copy")
    with pytest.raises(BuildError, match="in its build folder"):
        redistil(home / "copy", [], Progress())


def test_a_wrong_override(home: Path) -> None:
    """Is named as it was typed."""
    with pytest.raises(RecipeError, match=r"--set encoders\.0\.step"):
        redistil(home / "bundle", ["encoders.0.step=5"], Progress())
