"""Documents into and out of an existing bundle: a new version, the same encoders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_runtime
from build_tools import documents, index, lexical, quality, record, redraft, update
from build_tools.build import Built, build
from build_tools.errors import BuildError, CorpusError, GateError, ModelError
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.redistil import redistil
from build_tools.stages.corpus import encode_corpus, read_corpus
from build_tools.towers import Tower
from build_tools.update import Changes
from build_tools.workspace import Workspace
from edge_runtime import manifest as manifests
from edge_runtime import self_test
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex, quantize
from tests.conftest import corpus_lines

Line = dict[str, object]

CHANGED: Line = {
    "id": "bread-3",
    "title": "bread crust",
    "text": "A crust needs steam. Error E-777 means that the oven door was open.",
    "section": "bread",
}
NEW: Line = {
    "id": "radio-99",
    "title": "radio aerial",
    "text": "Put the aerial on the roof. Keep the noise of the battery away from the dial.",
    "section": "radio",
}
QUERIES = ("yeast dough oven", "error E-777 oven door", "aerial on the roof", "anchor rope", "pulse")


@pytest.fixture
def home(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle's build folder without its finished stages, as on another machine."""
    return Path(
        shutil.copytree(built_home, tmp_path / "home", ignore=shutil.ignore_patterns("stages", "lock"))
    )


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines of the corpus' kind into a file."""

    def write(*lines: Line, name: str = "given.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return path

    return write


def run(home: Path, add: Sequence[Path] = (), remove: Sequence[str] = (), **options: object) -> Built:
    """The update of the bundle in this build folder."""
    return update.update(
        home / "bundle",
        Changes(tuple(add), tuple(remove)),
        Progress(),
        **options,  # type: ignore[arg-type]
    )


def digests(bundle: Path) -> dict[str, str]:
    """Of every file that the manifest lists."""
    return {entry.path: entry.sha256 for entry in manifests.read(bundle / "manifest.yaml").files}


def everything(folder: Path) -> dict[str, bytes]:
    """The bytes of every file in a folder but the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def codes(bundle: Path) -> NDArray[np.int8]:
    """Every vector of the index, int8 (passages, ndim)."""
    opened = Bundle.open(bundle)
    dense = DenseIndex.open(opened, opened.manifest.index)
    found = dense.vectors(np.arange(opened.manifest.index.count))
    dense.close()
    opened.close()
    return found


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a build of the changed corpus makes, but for the encoders."""

    directory: Path
    contents: tuple[str, ...]
    vectors: NDArray[np.float32]


def rebuild(recipe: Recipe, lines: Sequence[Line], place: Path) -> Rebuilt:
    """Reads, cuts and encodes all of it, by the stages of a build."""
    place.mkdir()
    path = place / "changed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    recipe = replace(recipe, corpus=replace(recipe.corpus, path=str(path)))
    tower, workspace = Tower.load(recipe.teacher), Workspace(place)
    corpus = read_corpus(recipe, tower, workspace, Progress())
    vectors, _ = encode_corpus(tower, corpus, workspace, Progress())
    return Rebuilt(corpus.stage.directory, tuple(corpus.contents()), np.array(vectors))


def changed_corpus() -> list[Line]:
    """One document less, one changed in its place, one more at the end."""
    lines = [line for line in corpus_lines() if line["id"] != "garden-2"]
    return [CHANGED if line["id"] == "bread-3" else line for line in lines] + [NEW]


def test_as_a_build_of_the_changed_corpus(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """Documents, words and graph byte for byte (the graph at the scale that the bundle had)."""
    old = manifests.read(home / "bundle" / "manifest.yaml")
    recipe = record.need(home).recipe
    built = run(home, [given(CHANGED, NEW)], ["garden-2"])
    new = manifests.read(built.bundle / "manifest.yaml")
    expected = rebuild(recipe, changed_corpus(), tmp_path / "rebuilt")
    for name in (documents.FILENAME, documents.OWNERS):
        assert (built.bundle / name).read_bytes() == (expected.directory / name).read_bytes()
    assert new.lexical == lexical.write(expected.contents, tmp_path / "words", spec=recipe.lexical)
    for path in (tmp_path / "words" / "lexical").iterdir():
        assert (built.bundle / "lexical" / path.name).read_bytes() == path.read_bytes()
    assert new.index == index.write_codes(
        [quantize(expected.vectors, old.index.scale)],
        tmp_path / "dense.usearch",
        ndim=old.index.ndim,
        scale=old.index.scale,
        spec=recipe.index,
        advance=lambda _: None,
    )
    difference = codes(built.bundle).astype(int) - quantize(expected.vectors, old.index.scale)
    assert np.abs(difference).max() <= 1  # sums round by what is in the batch
    assert (new.documents.documents, new.documents.passages) == (48, len(expected.contents))


@pytest.mark.parametrize("encoder", ["layers2", "static"])
@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_the_answers_of_such_a_build(
    home: Path, tmp_path: Path, given: Callable[..., Path], encoder: str, mode: str
) -> None:
    """The same hits in the same order, though the build finds a scale of its own."""
    recipe = record.need(home).recipe
    built = run(home, [given(CHANGED, NEW)], ["garden-2"])
    expected = rebuild(recipe, changed_corpus(), tmp_path / "rebuilt")
    other = Path(shutil.copytree(built.bundle, tmp_path / "other"))
    spec = index.write(expected.vectors, other / index.FILENAME, spec=recipe.index, advance=lambda _: None)
    manifest = manifests.read(other / "manifest.yaml")
    files = redraft.stamp.files_of(other)
    (other / "manifest.yaml").write_bytes(manifests.dump(replace(manifest, index=spec, files=files)))
    with (
        edge_runtime.open(built.bundle, encoder=encoder) as ours,
        edge_runtime.open(other, encoder=encoder) as theirs,
    ):
        for query in QUERIES:
            found = [(hit.key, hit.text) for hit in ours.search(query, k=5, mode=mode)]  # type: ignore[arg-type]
            assert found == [(hit.key, hit.text) for hit in theirs.search(query, k=5, mode=mode)]  # type: ignore[arg-type]


def test_what_keeps_its_bytes(home: Path, given: Callable[..., Path]) -> None:
    """All that is not of the documents; the vectors of what stays, too."""
    before, old_codes = digests(home / "bundle"), codes(home / "bundle")
    keys = [passage.document for passage in documents.read(home / "bundle")]
    built = run(home, [given(NEW)], ["garden-2"])
    after = digests(built.bundle)
    assert before.keys() == after.keys()
    changed = {path for path in before if before[path] != after[path]}
    words = {f"lexical/{name}" for name in ("terms.bin", "terms.offsets.npy", "postings.indptr.npy")}
    words |= {f"lexical/postings.{name}.npy" for name in ("rows", "scores")}
    assert changed - {"golden.jsonl"} == {
        "dense.usearch",
        "documents.npy",
        "documents.sqlite",
        "quality.yaml",
        *words,
    }
    kept = old_codes[[row for row, key in enumerate(keys) if key != "garden-2"]]
    assert np.array_equal(codes(built.bundle)[: len(kept)], kept)


def test_only_what_is_new_is_encoded(
    home: Path, given: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a document that has grown, the passage that is as before keeps its vector."""
    encoded: list[str] = []
    whole = Tower.encode_documents

    def watched(tower: Tower, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded.extend(texts)
        return whole(tower, texts)

    monkeypatch.setattr(Tower, "encode_documents", watched)
    line = corpus_lines()[0]
    run(home, [given({**line, "text": f"{line['text']} Then let it cool on the rack for an hour."})])
    old = [passage.content for passage in documents.read(home / "bundle")]
    asked, new = encoded[: redraft.SAMPLE], encoded[redraft.SAMPLE :]
    assert len(new) < len([content for content in old if "bread" in content])
    assert all("rack" in content for content in new)
    assert new
    assert set(asked) <= set(old)


def test_what_the_card_says(home: Path, given: Callable[..., Path]) -> None:
    """The figures stay, with the version whose documents they were measured with, however many updates follow."""
    before = quality.read(home / "bundle")
    encoders = manifests.read(home / "bundle" / "manifest.yaml").encoders
    for key in ("bread-0", "bread-1"):
        built = run(home, remove=[key])
        assert built.card == quality.read(built.bundle) == replace(before, version="1.0.0")
        manifest = manifests.read(built.bundle / "manifest.yaml")
        for old, new in zip(encoders, manifest.encoders, strict=True):
            assert old.quality is not None
            assert new == replace(old, quality=replace(old.quality, version="1.0.0"))


def test_the_golden_queries(home: Path, given: Callable[..., Path]) -> None:
    """Tokens and vectors as before, the rows those of the new index; a device accepts it."""
    path = home / "bundle" / "golden.jsonl"
    before = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    built = run(home, [given(CHANGED)], ["bread-0", "garden-2"])
    after = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [{**line, "passages": {}} for line in after] == [{**line, "passages": {}} for line in before]
    with edge_runtime.open(built.bundle) as retriever:
        keys = [passage.document for passage in documents.read(built.bundle)]
        for line in after:
            hits = retriever.search(line["query"], k=1, mode="dense")
            assert keys[line["passages"]["layers2"][0]] == hits[0].key
    assert [replayed.encoder for replayed in self_test.replay(built.bundle).replays] == ["layers2", "static"]


def test_the_graph(home: Path, given: Callable[..., Path]) -> None:
    """Beyond the recipe's limit the new version is searched by graph."""
    path = home / "build.yaml"
    path.write_text(path.read_text("utf-8").replace("exact_below: 30000", "exact_below: 10"), "utf-8")
    built = run(home, [given(NEW)])
    assert manifests.read(built.bundle / "manifest.yaml").index.search == "hnsw"
    with edge_runtime.open(built.bundle) as retriever:
        assert retriever.search("aerial on the roof", k=1)[0].key == "radio-99"


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


def test_fewer_dimensions(tmp_path: Path, recipe_file: Path, given: Callable[..., Path]) -> None:
    """New vectors go through the map that the index was made with, also when encoders are made afterwards."""
    from build_tools import recipe_yaml
    from build_tools.reduction import Reduction

    small = "encoders=[{id: static, kind: static, max_tokens: 32, steps: 5}]"
    gates = [f"gates.{name}=0" for name in ("cosine_mean", "cosine_min", "index_recall")]
    recipe = recipe_yaml.load(recipe_file, [small, "teacher.ndim=16", *gates])
    home = build(recipe, tmp_path, Progress()).bundle.parent
    fitted = Reduction.load(home)
    shutil.rmtree(home / "stages")
    built = run(home, [given(NEW)])
    [content] = [
        passage.content for passage in documents.read(built.bundle) if passage.document == "radio-99"
    ]
    vector = fitted.apply(Tower.load(recipe.teacher).encode_documents([content]))
    manifest = manifests.read(built.bundle / "manifest.yaml")
    assert np.abs(codes(built.bundle)[-1].astype(int) - quantize(vector[0], manifest.index.scale)).max() <= 1
    again = redistil(home / "bundle", ["encoders.0.steps=4"], Progress())
    assert np.array_equal(Reduction.load(home).matrix, fitted.matrix)
    assert again.card.index_recall is not None
    (home / "reduction.npy").unlink()
    with pytest.raises(BuildError, match=r"reduction\.npy: cannot be read"):
        run(home, [given(CHANGED)])


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


def test_another_teacher(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """Of the same shape under the same name is found out by what it makes of passages in the bundle."""
    import torch
    from sentence_transformers import SentenceTransformer

    before = everything(home / "bundle")
    recipe = record.need(home).recipe
    model = SentenceTransformer(recipe.teacher.model, device="cpu")
    torch.manual_seed(9)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save(str(tmp_path / "model"))
    other = replace(recipe, teacher=replace(recipe.teacher, model=str(tmp_path / "model")))
    record.write(replace(record.need(home), recipe=other), home)
    with pytest.raises(ModelError, match="teacher model: not the one that made this index"):
        run(home, [given(NEW)])
    assert everything(home / "bundle") == before
    assert not (home / "bundle.new").exists()


def test_a_teacher_that_is_gone(home: Path, given: Callable[..., Path]) -> None:
    """Matters to what is added; removing needs none."""
    known = record.need(home)
    gone = replace(known.recipe, teacher=replace(known.recipe.teacher, model="/nowhere"))
    record.write(replace(known, recipe=gone), home)
    assert run(home, remove=["bread-0"]).fresh
    with pytest.raises(ModelError, match=r"teacher\.model /nowhere: cannot be loaded"):
        run(home, [given(NEW)])


def test_a_bundle_that_grows_too_large(home: Path) -> None:
    """The recipe's gate holds for updates; the draft goes."""
    known = record.need(home)
    small = replace(known.recipe, gates=replace(known.recipe.gates, bytes=1000))
    record.write(replace(known, recipe=small), home)
    before = everything(home)
    with pytest.raises(GateError, match="size of the bundle"):
        run(home, remove=["bread-0"])
    assert everything(home) == before


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


@pytest.mark.parametrize("step", ["swap_in", "pack"])
def test_interrupted_late(home: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The old bundle or the new one is there, whole, and the next update goes on from it."""

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(update, step, strike)
    with pytest.raises(KeyboardInterrupt):
        run(home, remove=["bread-0"])
    monkeypatch.undo()
    Bundle.open(home / "bundle").close()
    assert not (home / "bundle.new").exists()
    assert run(home, remove=["bread-1"]).transport.is_file()


def test_after_a_kill_between_two_renames(home: Path) -> None:
    """The old bundle has another name then; it is put back first."""
    (home / "bundle").rename(home / "bundle.old")
    assert run(home, remove=["bread-0"]).fresh


def test_a_field_that_nobody_has_any_more(home: Path, given: Callable[..., Path]) -> None:
    """Is what a build of those documents says, too."""
    known = record.need(home)
    indexed = replace(known.recipe, filters=replace(known.recipe.filters, indexed=("section",)))
    record.write(replace(known, recipe=indexed), home)
    built = run(home, [given(NEW)])
    assert "fields.sqlite" in digests(built.bundle)
    with edge_runtime.open(built.bundle) as retriever:
        assert {hit.key for hit in retriever.search("radio", k=99, where={"section": "radio"})} == {
            *(f"radio-{number}" for number in range(8)),
            "radio-99",
        }
    keys = documents.keys(built.bundle)
    bare = {key: value for key, value in NEW.items() if key != "section"}
    with pytest.raises(BuildError, match=r"filters\.indexed: no document has the metadata field 'section'"):
        run(home, [given(bare)], [key for key in keys if key != "radio-99"])
