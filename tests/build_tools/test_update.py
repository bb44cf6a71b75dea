"""Documents into and out of an existing bundle: a new version, the same encoders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edge_runtime
from build_tools import documents, record, redraft, update
from build_tools.build import build
from build_tools.errors import BuildError, CorpusError
from build_tools.progress import Progress
from build_tools.redistil import redistil
from build_tools.update import Changes
from edge_runtime import manifest as manifests
from edge_runtime import self_test
from edge_runtime.bundle import sha256
from edge_runtime.store import layout
from edge_runtime.store.install import install
from edge_runtime.store.switch import rollback
from tests.build_tools.updates import CHANGED, NEW, Line, codes, digests, everything, run
from tests.conftest import corpus_lines


def test_the_version(home: Path, given: Callable[..., Path]) -> None:
    """Rises by itself or as asked; the old transport file stays, the new one holds the new bundle."""
    built = run(home, [given(NEW)])
    assert built.fresh
    assert built.transport.name == "tiny-1.0.1.edge"
    assert (home / "tiny-1.0.0.edge").exists()
    assert not (home / "bundle.new").exists()
    again = run(home, remove=["radio-99"], version="2.5.0")
    assert manifests.read(again.bundle / "manifest.yaml").version == "2.5.0"
    known = record.need(home)
    assert (known.recipe.version, known.updated) == ("2.5.0", True)


def test_a_version_that_was_made_before(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """Is made no second time, here or where it is to be written: a device may have the first."""
    (home / "tiny-1.0.5.edge").write_bytes(b"earlier")
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    (tmp_path / "out" / "tiny" / "tiny-1.0.7.edge").touch()
    with pytest.raises(BuildError, match=r"version 1\.0\.5: was made here before"):
        run(home, [given(NEW)], version="1.0.5")
    assert (home / "tiny-1.0.5.edge").read_bytes() == b"earlier"
    assert run(home, [given(NEW)], out=tmp_path / "out").transport.name == "tiny-1.0.8.edge"


@pytest.mark.parametrize(
    "work",
    [lambda home: run(home, remove=["bread-1"]), lambda home: redistil(home / "bundle", [], Progress())],
)
def test_a_file_in_the_way(home: Path, work: Callable[[Path], object]) -> None:
    """Found before the work, of other encoders too."""
    (home / "bundle.new").write_text("mine", "utf-8")
    before = everything(home)
    with pytest.raises(BuildError, match=r"bundle\.new: a file is where a folder is to be"):
        work(home)
    assert everything(home) == before


def test_there_and_back(home: Path, given: Callable[..., Path]) -> None:
    """A document that came and went leaves every file as it was, but for what was measured."""
    before = digests(home / "bundle")
    run(home, [given(NEW)])
    run(home, remove=["radio-99"])
    after = digests(home / "bundle")
    assert {path for path in before if before[path] != after[path]} == {"quality.yaml"}


def test_documents_that_are_there_already(home: Path, given: Callable[..., Path]) -> None:
    """Nothing is made where nothing differs; a difference in metadata alone is one."""
    before = everything(home)
    line = corpus_lines()[5]
    built = run(home, [given(line)])
    assert not built.fresh
    assert everything(home) == before
    other = run(home, [given({**line, "section": "kitchen"})])
    assert other.fresh
    assert np.array_equal(codes(other.bundle), codes(other.bundle))
    with edge_runtime.open(other.bundle) as retriever:
        assert {hit.key for hit in retriever.search("dough", where={"section": "kitchen"})} == {"bread-5"}


def test_elsewhere(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """With a place to write, the old version is not touched, and the new one can be updated in turn."""
    before = everything(home)
    built = run(home, [given(NEW)], out=tmp_path / "out")
    after = everything(home)
    assert {name: after[name] for name in after if not name.startswith("stages/")} == before
    assert built.bundle == tmp_path / "out" / "tiny" / "bundle"
    assert (built.bundle.parent / "curves" / "layers2.jsonl").exists()
    assert run(built.bundle.parent, remove=["radio-99"]).transport.name == "tiny-1.0.2.edge"
    with pytest.raises(BuildError, match="there is a bundle already"):
        run(home, [given(NEW)], out=tmp_path / "out")
    with pytest.raises(BuildError, match="lies in the bundle itself"):
        run(home, [given(NEW)], out=home / "bundle")


def test_a_build_does_not_take_it_for_its_own(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """The recipe's corpus is not what is in the bundle, so the record counts for nothing."""
    run(home, [given(NEW)])
    known = record.need(home)
    assert not known.current
    record.write(replace(known, inputs=record.inputs_of(known.recipe)), home)
    shutil.copytree(home, tmp_path / "out" / "tiny")
    recipe = replace(known.recipe, encoders=(replace(known.recipe.encoders[1], steps=1),))
    gates = replace(recipe.gates, cosine_mean=0, cosine_min=0, index_recall=0)
    recipe = replace(recipe, gates=gates, version="1.0.1")
    record.write(replace(known, recipe=recipe, inputs=record.inputs_of(recipe)), tmp_path / "out" / "tiny")
    built = build(recipe, tmp_path / "out", Progress())
    assert built.fresh
    assert "radio-99" not in documents.keys(built.bundle)


def test_a_build_between_two_updates(
    home: Path, given: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the recipe's version again, and says so; the second update does not repeat the first one's."""
    home = home.rename(home.with_name("tiny"))
    recipe = record.need(home).recipe
    run(home, [given(NEW)])
    assert build(recipe, home.parent, Progress()).transport.name == "tiny-1.0.0.edge"
    assert "version 1.0.0, and 1.0.1 was made here before" in " ".join(capsys.readouterr().err.split())
    assert run(home, [given(NEW)]).transport.name == "tiny-1.0.2.edge"


def test_other_encoders_afterwards(home: Path, given: Callable[..., Path]) -> None:
    """`edge-build distill` keeps the documents of the update, and measures the whole card anew."""
    run(home, [given(NEW)], ["garden-2"])
    index_before = digests(home / "bundle")["dense.usearch"]
    built = redistil(
        home / "bundle", ["encoders=[{id: static, kind: static, max_tokens: 32, steps: 5}]"], Progress()
    )
    assert digests(built.bundle)["dense.usearch"] == index_before
    assert built.card.through_index("static") is not None
    assert record.need(home).updated


@pytest.mark.parametrize(
    ("add", "remove", "message"),
    [
        ([], [], "nothing to change: name documents with --add, or keys with --remove"),
        ([], ["bread-0", "no-such"], "has the key 'no-such'"),
        ([], [""], "has the key ''"),
        ([CHANGED], ["bread-3"], "both to add and to remove: 'bread-3'"),
        ([CHANGED, CHANGED], [], "found 'bread-3' again"),
        ([], [str(line["id"]) for line in corpus_lines()], "no document would be left"),
        ([{"text": "no key"}], [], r"given\.jsonl:1: records without a key are known by their number"),
        ([{"id": "x", "text": " "}], [], r"given\.jsonl:1: no text"),
        ([], ["bread-0"] * 2 + ["no-such"] * 2, "has the key 'no-such'$"),
    ],
)
def test_what_cannot_be_done(
    home: Path, given: Callable[..., Path], add: list[Line], remove: list[str], message: str
) -> None:
    """One error, and everything is as it was."""
    before = everything(home)
    with pytest.raises(BuildError, match=message):
        run(home, [given(*add)] if add else [], remove)
    assert everything(home) == before


def test_the_same_document_in_two_files(home: Path, given: Callable[..., Path]) -> None:
    """Says where it was first."""
    files = [given(NEW), given(NEW, name="more.jsonl")]
    with pytest.raises(CorpusError, match=r"more\.jsonl:1: duplicate key: .*first at .*given\.jsonl:1"):
        run(home, files)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.0.0", r"version 1\.0\.0: expected more than 1\.0\.0"),
        ("0.9.9", r"version 0\.9\.9: expected more than 1\.0\.0"),
        ("two", "version 'two': expected three numbers"),
        ("1.1", r"version '1\.1': expected three numbers"),
        ("9999999999.0.0", r"version '9999999999\.0\.0': expected three numbers"),
    ],
)
def test_versions_that_cannot_be(home: Path, version: str, message: str) -> None:
    """Refused before anything is read."""
    with pytest.raises(BuildError, match=message):
        run(home, remove=["bread-0"], version=version)


def test_a_damaged_bundle(home: Path) -> None:
    """Nothing is built on it."""
    path = home / "bundle" / "documents.sqlite"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(edge_runtime.IntegrityError, match=r"documents\.sqlite"):
        run(home, remove=["bread-0"])


def test_a_card_of_another_version(home: Path) -> None:
    """Says which file it is."""
    bundle = home / "bundle"
    (bundle / "quality.yaml").write_text("basis: hearsay\n", "utf-8")
    manifest = manifests.read(bundle / "manifest.yaml")
    files = redraft.stamp.files_of(bundle)
    (bundle / "manifest.yaml").write_bytes(manifests.dump(replace(manifest, files=files)))
    with pytest.raises(BuildError, match=r"quality\.yaml: of another version"):
        run(home, remove=["bread-0"])


def test_not_in_a_build_folder(home: Path) -> None:
    """The recipe is beside the bundle, under its name; without it nobody knows the teacher."""
    (home / "build.yaml").unlink()
    with pytest.raises(BuildError, match=r"has no build\.yaml"):
        run(home, remove=["bread-0"])
    (home / "bundle").rename(home / "copy")
    with pytest.raises(BuildError, match="expected a bundle in its build folder"):
        update.update(home / "copy", Changes(remove=("bread-0",)), Progress())
    with pytest.raises(edge_runtime.BundleError, match="no such bundle directory"):
        update.update(home / "nothing" / "bundle", Changes(remove=("bread-0",)), Progress())


@pytest.mark.parametrize("name", ["n" * 5000, "nul\0", "b/" * 3000])
def test_names_that_cannot_be(name: str) -> None:
    """One error of ours."""
    with pytest.raises(edge_runtime.Error, match=r"cannot be read|no such bundle"):
        update.update(Path(name), Changes(remove=("bread-0",)), Progress())


def test_a_transport_file(home: Path) -> None:
    """Does not say what it was made from; the error says what does."""
    before = everything(home)
    with pytest.raises(BuildError, match=r"expected a bundle's directory in its build folder; found a file"):
        update.update(home / "tiny-1.0.0.edge", Changes(remove=("bread-0",)), Progress())
    assert everything(home) == before


def test_installed(
    home: Path, given: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device takes it for newer, copies what is new, and can go back; its store is no build folder."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "store"))
    install(home / "tiny-1.0.0.edge", self_test=None)
    built = run(home, [given(NEW)], ["bread-0"])
    outcome = install(built.transport, self_test=self_test.replay)
    assert (outcome.version, outcome.done) == ("1.0.1", "installed")
    before = set(digests(layout.folder("tiny") / str(outcome.previous)).values())
    sizes = {entry.sha256: entry.size for entry in manifests.read(built.bundle / "manifest.yaml").files}
    assert outcome.linked == sum(size for digest, size in sizes.items() if digest in before)
    with edge_runtime.open("tiny") as retriever:
        assert retriever.search("aerial on the roof", k=1)[0].key == "radio-99"
    with pytest.raises(BuildError, match="expected a bundle in its build folder"):
        update.update(layout.folder("tiny") / outcome.bundle, Changes(remove=("bread-1",)), Progress())
    with pytest.raises(edge_runtime.StoreError, match=r"tiny 1\.0\.0 is older than 1\.0\.1"):
        install(home / "tiny-1.0.0.edge", self_test=None)
    assert rollback("tiny") == outcome.previous


@pytest.mark.parametrize(
    "step", ["documents.write", "index.write_codes", "lexical.write", "golden.find_again", "quality.write"]
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    """Wherever it strikes, the old bundle stands and nothing else is left."""

    def strike(*_: object, **__: object) -> None:
        raise error

    before = everything(home)
    monkeypatch.setattr(f"build_tools.redraft.{step}", strike)
    with pytest.raises(error):
        run(home, remove=["bread-0"])
    assert everything(home) == before


@pytest.mark.parametrize("step", ["swap_in", "pack", "sha256"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_interrupted_late(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, elsewhere: bool
) -> None:
    """With everything made and nothing in place, too; the next update finds nothing in its way."""

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    before, out = everything(home), tmp_path / "out" if elsewhere else None
    monkeypatch.setattr(update, step, strike)
    with pytest.raises(KeyboardInterrupt):
        run(home, remove=["bread-0"], out=out)
    assert everything(home) == before
    assert everything(tmp_path / "out").keys() <= {"tiny/curves/layers2.jsonl", "tiny/curves/static.jsonl"}
    monkeypatch.undo()
    assert run(home, remove=["bread-0"], out=out).transport.is_file()


def test_interrupted_after_the_swap(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version is there with all that belongs to it."""

    def swap_in(finished: Path, target: Path) -> None:
        finished.rename(target.with_name("new"))
        shutil.rmtree(target)
        target.with_name("new").rename(target)
        raise KeyboardInterrupt

    monkeypatch.setattr(update, "swap_in", swap_in)
    with pytest.raises(KeyboardInterrupt):
        run(home, remove=["bread-0"])
    assert manifests.read(home / "bundle" / "manifest.yaml").version == "1.0.1"
    known = record.need(home)
    assert (known.updated, known.transport) == (True, sha256(home / "tiny-1.0.1.edge"))


def test_after_a_kill_between_two_renames(home: Path) -> None:
    """The old bundle has another name then; it is put back first."""
    (home / "bundle").rename(home / "bundle.old")
    assert run(home, remove=["bread-0"]).fresh


def test_a_reranker(reranked_home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """Its golden pairs name passages by their rows, which move: they are scored anew, and hold."""
    home = Path(shutil.copytree(reranked_home, tmp_path / "reranked"))
    model = digests(home / "bundle")["reranker/model.onnx"]
    built = run(home, [given(NEW)], remove=["bicycle-0", "bread-0"])
    assert digests(built.bundle)["reranker/model.onnx"] == model
    assert self_test.replay(built.bundle).reranker is not None
    with edge_runtime.open(built.bundle) as retriever:
        assert retriever.search("yeast and dough", rerank=True)
