"""The files of an updated bundle, against those of the old one and of a build of the changed corpus."""

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
from build_tools import documents, index, lexical, quality, record, redraft
from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import encode_corpus, read_corpus
from build_tools.towers import Tower
from build_tools.workspace import Workspace
from edge_runtime import manifest as manifests
from edge_runtime import self_test
from edge_runtime.dense import quantize
from tests.build_tools.updates import CHANGED, NEW, Line, codes, digests, run
from tests.conftest import corpus_lines

QUERIES = ("yeast dough oven", "error E-777 oven door", "aerial on the roof", "anchor rope", "pulse")


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
    vectors, _ = encode_corpus(recipe, tower, corpus, workspace, Progress())
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
        tmp_path,
        count=len(expected.contents),
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
    spec = index.write(expected.vectors, other, spec=recipe.index, advance=lambda _: None)
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


def test_all_other_documents(home: Path, given: Callable[..., Path]) -> None:
    """Nothing of the old ones need be left."""
    built = run(home, [given(NEW)], [str(line["id"]) for line in corpus_lines()])
    with edge_runtime.open(built.bundle) as retriever:
        assert {hit.key for hit in retriever.search("yeast dough oven", k=9)} == {"radio-99"}


def test_what_the_card_says(home: Path) -> None:
    """The figures stay, with the version whose documents gave them, however many updates follow."""
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


@pytest.mark.parametrize("strategy", ["two-stage", "pq"])
def test_another_strategy(home: Path, given: Callable[..., Path], strategy: str) -> None:
    """Takes the place of exact search; another update begins with it."""
    path = home / "build.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("strategy: auto", f"strategy: {strategy}"), "utf-8")
    built = run(home, [given(NEW)])
    first = manifests.read(built.bundle / "manifest.yaml").index
    assert (first.search, first.path) == (strategy, "dense")
    assert not (built.bundle / index.FILENAME).exists()
    with edge_runtime.open(built.bundle) as retriever:
        assert retriever.search("aerial on the roof", k=1)[0].key == "radio-99"
    again = run(home, remove=["garden-2"])
    second = manifests.read(again.bundle / "manifest.yaml").index
    assert second.expansion == first.expansion
    with edge_runtime.open(again.bundle) as retriever:
        assert retriever.search("aerial on the roof", k=1)[0].key == "radio-99"
        assert {hit.key for hit in retriever.search("radio", k=99)}.isdisjoint({"garden-2"})


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
