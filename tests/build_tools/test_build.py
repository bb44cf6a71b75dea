"""Whole builds: what is kept, what is made again, and that nothing else decides the bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import edge_runtime
from build_tools import assemble, gates, make, quality, recipe_yaml, record
from build_tools import build as builds
from build_tools.build import build
from build_tools.errors import BuildError, DataError, GateError, ModelError
from build_tools.make import reference_of
from build_tools.pack import pack
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.towers import Tower
from build_tools.workspace import locked
from edge_runtime import choice, facts, faiss_library
from edge_runtime.bundle import Bundle, read_manifest
from edge_runtime.errors import CompatibilityError
from edge_runtime.manifest import FieldsSpec

ENCODERS = {"student", "onnx", "static"}
QUICK = ["training.steps=4", "gates.cosine_min=0", "gates.cosine_mean=0", "gates.index_recall=0"]


class Silent(Progress):
    """Remembers what is said; can be told to interrupt at the n-th line or at a task's first step."""

    def __init__(self, *, line: int | None = None, task_name: str | None = None) -> None:
        self.lines: list[str] = []
        self._line, self._task = line, task_name

    def say(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == self._line:
            raise KeyboardInterrupt

    @contextmanager
    def task(self, name: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        def advance(_: int) -> None:
            if name == self._task:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture
def home(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the build folder that a test may change; `build(recipe, home.parent, ...)` finds it."""
    return Path(shutil.copytree(built_home, tmp_path / "out" / "tiny"))


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    """The tiny recipe."""
    return recipe_yaml.load(recipe_file)


@pytest.fixture(scope="module")
def quick(recipe_file: Path) -> Recipe:
    """The tiny recipe with few steps."""
    return recipe_yaml.load(recipe_file, QUICK)


@pytest.fixture
def _fixed_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="module")
def undisturbed(quick: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a build of `quick` that nobody interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return files(build(quick, tmp_path_factory.mktemp("undisturbed"), Silent()).bundle.parent)


def files(home: Path) -> dict[str, bytes]:
    """The bundle and its transport file, by name."""
    paths = [*(home / "bundle").rglob("*"), *home.glob("*.edge")]
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def stages(home: Path) -> set[str]:
    """The directories of its working folder."""
    return {path.name for path in (home / "stages").iterdir()}


def no_model(_: object) -> Tower:
    """Takes the place of loading a model where none may be."""
    raise AssertionError("a model was loaded")


def test_nothing_changed(home: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run only looks: no model is loaded, no byte written."""
    before = files(home)
    monkeypatch.setattr(Tower, "load", no_model)
    built = build(recipe, home.parent, Silent())
    assert not built.fresh
    assert built.card == quality.read(home / "bundle")
    assert files(home) == before


def test_an_index_of_fields(home: Path, recipe_file: Path) -> None:
    """Another choice of fields makes no stage again, and the new bundle finds by them."""
    before, kept = stages(home), (home / "bundle" / "documents.sqlite").read_bytes()
    changed = recipe_yaml.load(recipe_file, ["filters.indexed=[section]"])
    bundle = build(changed, home.parent, Silent()).bundle
    assert stages(home) == before
    assert (bundle / "documents.sqlite").read_bytes() == kept
    with edge_runtime.open(bundle) as retriever:
        assert {hit.key for hit in retriever.search("dough", k=9, where={"section": "radio"})} == {
            f"radio-{number}" for number in range(8)
        }
    manifest = read_manifest(bundle)
    assert manifest.documents.fields == FieldsSpec("fields.sqlite", ("section",))
    assert ("filters", "fast on section") in list(facts.of(manifest, choice.automatic(manifest, bundle)))


def test_an_index_of_a_field_that_is_not_there(home: Path, recipe_file: Path) -> None:
    """The bundle of before stays."""
    before = files(home)
    with pytest.raises(BuildError, match="no document has the metadata field 'sektion'"):
        build(recipe_yaml.load(recipe_file, ["filters.indexed=[sektion]"]), home.parent, Silent())
    assert files(home) == before


@pytest.mark.usefixtures("_fixed_date")
def test_two_builds_give_the_same_bytes(
    quick: Recipe, undisturbed: dict[str, bytes], tmp_path: Path, teacher_folder: Path
) -> None:
    """In another directory, with the teacher and the documents in other places too."""
    teacher = shutil.copytree(teacher_folder, tmp_path / "elsewhere" / teacher_folder.name)
    corpus = shutil.copyfile(str(quick.corpus.path), tmp_path / "copy.jsonl")
    moved = replace(
        quick,
        corpus=replace(quick.corpus, path=str(corpus)),
        teacher=replace(quick.teacher, model=str(teacher)),
    )
    again = files(build(moved, tmp_path / "out", Silent()).bundle.parent)
    assert again.keys() == undisturbed.keys()
    assert [name for name in again if again[name] != undisturbed[name]] == []


@pytest.mark.usefixtures("_fixed_date")
def test_interrupted_at_every_line(quick: Recipe, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Ctrl-C at the first line, the second, the third … of one build; the bundle is as if none had been."""
    for line in range(1, 100):
        try:
            build(quick, tmp_path, Silent(line=line))
            break
        except KeyboardInterrupt:
            assert not (tmp_path / "tiny" / "bundle").exists()
    assert line > 8
    assert files(tmp_path / "tiny") == undisturbed


@pytest.mark.usefixtures("_fixed_date")
def test_interrupted_within_every_stage(quick: Recipe, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """At the first sign of progress of each."""
    for task in (
        "documents",
        "queries",
        "vectors",
        "lessons",
        "layers2",
        "static",
        "index",
        "words",
        "measuring",
    ):
        with pytest.raises(KeyboardInterrupt):
            build(quick, tmp_path, Silent(task_name=task))
    assert build(quick, tmp_path, Silent()).fresh
    assert files(tmp_path / "tiny") == undisturbed


@pytest.mark.usefixtures("_fixed_date")
@pytest.mark.parametrize(
    ("module", "step"),
    [
        (assemble, "draft"),
        (quality, "write"),
        (assemble, "write_manifest"),
        (gates, "check"),
        (make, "swap_in"),
    ],
)
def test_interrupted_while_assembling(
    quick: Recipe,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
) -> None:
    """Just after each step; the next build starts over with a clean draft."""
    original = getattr(module, step)

    def interrupted(*arguments: Any) -> None:
        original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(quick, tmp_path, Silent())
    assert build(quick, tmp_path, Silent()).fresh
    assert files(tmp_path / "tiny") == undisturbed


@pytest.mark.parametrize(
    ("change", "made_again"),
    [
        ("fusion.k=10", set()),
        ("golden=3", set()),
        ("index.connectivity=8", {"index"}),
        ("lexical.k1=1.2", {"lexical"}),
        ("gates.ndcg_10=0.01", set()),
        ("training.steps=4", ENCODERS),
        ("encoders.0.max_tokens=16", {"student", "onnx"}),
        ("encoders.1.bigrams=5", {"student", "static"}),
        ("queries.generated=100", {"queries", "lessons", *ENCODERS}),
        ("training.seed=1", {"queries", "lessons", *ENCODERS}),
        ("teacher.ndim=16", {"reduced", *ENCODERS, "index"}),
        ("teacher.query_prompt=wheel", {"documents", "vectors", "lessons", *ENCODERS, "index"}),
        (
            "chunk.max_tokens=30",
            {"documents", "queries", "vectors", "lessons", *ENCODERS, "index", "lexical"},
        ),
    ],
)
def test_a_change_reaches_no_more_than_it_must(
    home: Path, recipe_file: Path, change: str, made_again: set[str]
) -> None:
    """One override; only the stages that depend on it are new, the bundle always is."""
    before = stages(home)
    changed = recipe_yaml.load(recipe_file, [*QUICK[1:], change])
    assert build(changed, home.parent, Silent()).fresh
    assert {name.partition("-")[0] for name in stages(home) - before} == made_again


def test_a_changed_document(home: Path, recipe: Recipe, tmp_path: Path) -> None:
    """Is found by its new text."""
    import edge_runtime

    source = shutil.copyfile(str(recipe.corpus.path), tmp_path / "documents.jsonl")
    own = replace(recipe, corpus=replace(recipe.corpus, path=str(source)), gates=_no_gates(recipe))
    assert build(own, home.parent, Silent()).fresh
    with source.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "new", "title": "zebra", "text": "The zebra is striped."}) + "\n")
    built = build(own, home.parent, Silent())
    assert built.fresh
    with edge_runtime.open(built.bundle) as retriever:
        assert retriever.search("zebra", mode="lexical")[0].key == "new"
    assert not build(own, home.parent, Silent()).fresh


def _no_gates(recipe: Recipe) -> Any:
    return replace(recipe.gates, cosine_mean=0.0, cosine_min=0.0, index_recall=0.0)


def _remove(home: Path) -> None:
    shutil.rmtree(home / "bundle")


def _damage(home: Path) -> None:
    (home / "bundle" / "dense.usearch").write_bytes(b"damaged")


def _forget(home: Path) -> None:
    (home / "build.yaml").write_text("inputs: [", "utf-8")


@pytest.mark.parametrize("harm", [_remove, _damage, _forget])
def test_a_lost_bundle_comes_from_the_kept_stages(
    home: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    """Deleted, damaged or without its record: nothing is trained again."""
    before = stages(home)
    harm(home)
    monkeypatch.setattr("build_tools.distill.distil.train", no_model)
    assert build(recipe, home.parent, Silent()).fresh
    assert stages(home) == before
    Bundle.open(home / "bundle").close()


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_a_lost_transport_file_is_packed_again(
    home: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    """From the bundle that stands there, without a model."""
    monkeypatch.setattr(Tower, "load", no_model)
    [transport] = home.glob("*.edge")
    before = transport.read_bytes()
    harm(transport)
    assert not build(recipe, home.parent, Silent()).fresh
    assert transport.read_bytes() == before


def test_below_the_gates(home: Path, recipe_file: Path, recipe: Recipe) -> None:
    """An error with the figures; the old bundle stays, the draft is kept beside it."""
    before = files(home)
    strict = recipe_yaml.load(recipe_file, ["gates.cosine_min=1.0"])
    with pytest.raises(GateError, match=r"layers2 cosine_min: 0\.9\d+, gate at least 1\.0000"):
        build(strict, home.parent, Silent())
    assert files(home) == before
    Bundle.open(home / "bundle.new").close()
    assert not build(recipe, home.parent, Silent()).fresh


def test_a_kill_between_bundle_and_record(
    home: Path, recipe: Recipe, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next build of the recipe before must not take the other recipe's bundle for its own."""
    other = recipe_yaml.load(recipe_file, ["fusion.k=10"])
    with monkeypatch.context() as patch:
        patch.setattr(builds, "pack", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(other, home.parent, Silent())
    assert build(recipe, home.parent, Silent()).fresh
    assert "k: 60" in (home / "bundle" / "manifest.yaml").read_text("utf-8")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_documents_that_change_while_building(
    quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is of the documents that were read, so the next run builds again."""
    source = shutil.copyfile(str(quick.corpus.path), tmp_path / "documents.jsonl")
    own = replace(quick, corpus=replace(quick.corpus, path=str(source)))

    def edit_then_pack(bundle: Path, target: Path) -> Path:
        source.write_text(source.read_text("utf-8").replace("bread", "cake"), "utf-8")
        return pack(bundle, target)

    with monkeypatch.context() as patch:
        patch.setattr(builds, "pack", edit_then_pack)
        build(own, tmp_path, Silent())
    assert build(own, tmp_path, Silent()).fresh


def test_two_builds_at_once(home: Path, recipe: Recipe) -> None:
    """The second is refused, at once."""
    with locked(home), pytest.raises(BuildError, match="tiny: another edge-build is at work here"):
        build(recipe, home.parent, Silent())


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["encoders.0.layers=[0, 9]"], ModelError, "layer 9 asked for"),
        (["encoders.0.base=nowhere/nothing"], ModelError, "encoders.base nowhere/nothing: cannot be loaded"),
        (["encoders.0.max_tokens=500"], ModelError, "max_tokens 500; the base encoder has 128 positions"),
        (["encoders.1.base=nowhere/nothing"], ModelError, "encoders.base nowhere/nothing: cannot be loaded"),
        (["teacher.ndim=33"], ModelError, "teacher.ndim 33: the teacher's vectors have 32 dimensions; keep"),
        (["teacher.ndim=32"], ModelError, "teacher.ndim 32: .* keep fewer, or leave it out"),
        (["queries.log=missing.txt"], DataError, "missing.txt: cannot be read"),
        (["queries.labels={source: csv, path: missing.csv}"], DataError, r"missing\.csv: "),
        (["queries.labels={source: beir}"], DataError, "source beir needs a folder"),
        (["fusion.labels={source: csv, path: missing.csv}"], DataError, r"missing\.csv: "),
        (["filters.indexed=[sektion]"], BuildError, "no document has the metadata field 'sektion'"),
        (["corpus.source=beir", "corpus.path=BEIR", "corpus.fields={}"], DataError, "no split 'test'"),
        (
            ["corpus.source=beir", "corpus.path=BEIR", "corpus.fields={}", "evaluation.split=dev"],
            DataError,
            "none of its relevant documents is in this bundle",
        ),
    ],
)
def test_mistakes_show_before_the_work(
    recipe_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    error: Any,
    message: str,
) -> None:
    """Not after hours of encoding or training."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("q\td\t1\n", "utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "t"}\n', "utf-8")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "other", "text": "a text"}\n', "utf-8")
    overrides = [override.replace("BEIR", str(tmp_path)) for override in overrides]
    wrong = recipe_yaml.load(recipe_file, overrides)
    with pytest.raises(error, match=message):
        build(wrong, tmp_path / "out", Silent())
    assert not list((tmp_path / "out").glob("tiny/stages/vectors-*"))


def test_obstacles_show_before_the_work(recipe: Recipe, tmp_path: Path) -> None:
    """Nothing is read, and a file of somebody's own is not replaced."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "bundle").write_text("mine", "utf-8")
    with pytest.raises(BuildError, match="bundle: a file is where a folder is to be"):
        build(recipe, tmp_path, Silent())
    assert (tmp_path / "tiny" / "bundle").read_text("utf-8") == "mine"
    assert not (tmp_path / "tiny" / "stages").exists()


def test_a_missing_library_shows_before_the_work(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Product codes without faiss."""

    def missing() -> Any:
        raise CompatibilityError(faiss_library.MISSING)

    monkeypatch.setattr("build_tools.index.faiss", missing)
    wanting = recipe_yaml.load(recipe_file, ["index.strategy=pq"])
    with pytest.raises(CompatibilityError, match=r"pip install 'edge-runtime\[faiss\]'"):
        build(wanting, tmp_path, Silent())
    assert not list(tmp_path.glob("tiny/stages/vectors-*"))


def test_a_wrong_date_shows_before_the_work(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "abc")
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        build(recipe, tmp_path, Silent())
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["lock"]


def test_the_record_comes_back(home: Path, recipe: Recipe) -> None:
    """build.yaml holds the whole recipe; a missing or foreign one is none."""
    known = record.read(home)
    assert known is not None
    assert known.recipe == recipe
    assert record.read(home / "stages") is None
    for foreign in (b"inputs: \xff\xfe", b"inputs: 2026-99-99"):
        (home / record.FILENAME).write_bytes(foreign)
        assert record.read(home) is None


def test_what_stands_behind_a_bundle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages' teacher, vectors and students; none where the folder or an input is not as it was."""
    reference = reference_of(home / "bundle", Silent())
    assert reference is not None
    assert reference.space.vectors.shape == (len(reference.space.owners), 32)
    assert reference.full.vectors is reference.space.vectors
    assert reference.students.keys() == {"layers2", "static"}
    monkeypatch.setattr(Tower, "load", no_model)
    monkeypatch.setattr(record, "__version__", "9.9.9")
    assert reference_of(home / "bundle", Silent()) is None
    monkeypatch.undo()
    shutil.rmtree(home / "stages")
    assert reference_of(home / "bundle", Silent()) is None


@pytest.mark.parametrize(
    "gone", ["documents", "queries", "vectors", "lessons", "student", "onnx", "index", "lexical"]
)
def test_a_stage_that_is_gone(home: Path, gone: str) -> None:
    """Is not made again for an evaluation, which would then take as long as the build."""
    for stage in (home / "stages").glob(f"{gone}-*"):
        shutil.rmtree(stage)
    left = stages(home)
    assert reference_of(home / "bundle", Silent()) is None
    assert stages(home) == left


def test_a_base_encoder_that_changed(quick: Recipe, teacher_folder: Path, tmp_path: Path) -> None:
    """Its student is cut and trained again."""
    base = Path(shutil.copytree(teacher_folder, tmp_path / "base"))
    own = replace(quick, encoders=(replace(quick.encoders[0], base=str(base)),))
    before = stages(build(own, tmp_path, Silent()).bundle.parent)
    assert not build(own, tmp_path, Silent()).fresh
    (base / "model.safetensors").touch()
    after = stages(build(own, tmp_path, Silent()).bundle.parent)
    assert {name.partition("-")[0] for name in after - before} == {"student", "onnx"}
