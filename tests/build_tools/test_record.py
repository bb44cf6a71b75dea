"""What a bundle was built from, and where the relative paths in there are meant from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from build_tools import documents, recipe_yaml, record
from build_tools.build import build
from build_tools.errors import CorpusError
from build_tools.make import reference_of
from build_tools.progress import Progress
from build_tools.recipe import CorpusSpec
from build_tools.record import Record
from build_tools.redistil import redistil
from edge_runtime import languages
from tests.build_tools.updates import run

QUICK = ["training.steps=4", "gates.cosine_min=0", "gates.cosine_mean=0", "gates.index_recall=0"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another working directory than any of a build."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def rebuilt(home: Path, corpus: CorpusSpec, directory: str | None) -> Record:
    """Has the record of a build folder say that the bundle is of this corpus."""
    known = record.need(home)
    gates = replace(known.recipe.gates, cosine_min=0, cosine_mean=0, index_recall=0)
    changed = replace(known, recipe=replace(known.recipe, corpus=corpus, gates=gates), directory=directory)
    record.write(changed, home)
    return changed


def test_where_a_build_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build folder in the working directory is named from there, so that both may be moved."""
    monkeypatch.chdir(tmp_path)
    assert record.here(Path("build/tiny")) == "../.."
    assert record.here(tmp_path.parent / "other") == str(tmp_path)


@pytest.mark.parametrize(
    ("present", "expected"), [(["project"], "project"), (["elsewhere"], "elsewhere"), ([], "project")]
)
def test_what_paths_are_meant_from(
    home: Path, tmp_path: Path, elsewhere: Path, present: list[str], expected: str
) -> None:
    """The recorded directory, but for a build folder that was moved away from its corpus; then as before."""
    (tmp_path / "project").mkdir()
    for name in present:
        (tmp_path / name / "notes").mkdir()
    known = rebuilt(home, CorpusSpec(source="text", path="notes"), "../project")
    with record.in_its_directory(known, home):
        assert Path.cwd() == tmp_path / expected
    assert Path.cwd() == elsewhere


def test_another_version_of_a_stemmer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is another word index; where none of its words is cut by it, it is not."""
    english = record.need(home).recipe
    german = replace(english, lexical=replace(english.lexical, stemmer="german"))
    before = [record.inputs_of(recipe) for recipe in (english, german)]
    monkeypatch.setattr(languages, "snowball_version", lambda: "9.1")
    after = [record.inputs_of(recipe) for recipe in (english, german)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_an_update_from_elsewhere(
    home: Path, tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the corpus has the key that the build gave it."""
    (tmp_path / "notes" / "sub").mkdir(parents=True)
    (tmp_path / "notes" / "sub" / "new.md").write_text("The aerial belongs on the roof.", "utf-8")
    rebuilt(home, CorpusSpec(source="text", path="notes"), "..")
    built = run(home, [Path("../notes/sub/new.md")])
    keys = documents.keys(built.bundle)
    assert "sub/new.md" in keys
    assert "new.md" not in keys
    assert f"meant from {tmp_path}" in " ".join(capsys.readouterr().err.split())
    assert record.need(home).directory == ".."
    assert Path.cwd() == elsewhere


def test_an_earlier_record(home: Path, tmp_path: Path, elsewhere: Path) -> None:
    """Does not say where; a key that cannot be told is not guessed."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "new.md").write_text("The aerial belongs on the roof.", "utf-8")
    rebuilt(home, CorpusSpec(source="text", path="notes"), None)
    with pytest.raises(
        CorpusError, match=f"^corpus.path notes: no such folder, taken relative to {elsewhere}"
    ):
        run(home, [tmp_path / "notes" / "new.md"])


def test_other_encoders_from_elsewhere(home: Path, tmp_path: Path, elsewhere: Path) -> None:
    """The corpus' judged queries are found, so quality is measured as before."""
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    (tmp_path / "beir" / "queries.jsonl").write_text('{"_id": "q1", "text": "yeast dough oven"}\n', "utf-8")
    (tmp_path / "beir" / "qrels" / "test.tsv").write_text("q1\tbread-0\t2\n", "utf-8")
    rebuilt(home, CorpusSpec(source="beir", path="beir"), "..")
    built = redistil(home / "bundle", ["encoders=[{id: static, kind: static, steps: 2}]"], Progress())
    assert (built.card.basis, built.card.queries) == ("labels", 1)


def test_judged_queries_that_are_gone(
    home: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Are no longer what quality is measured on, which is said."""
    rebuilt(home, CorpusSpec(source="beir", path="gone"), "..")
    built = redistil(home / "bundle", ["encoders=[{id: static, kind: static, steps: 2}]"], Progress())
    assert built.card.basis == "teacher"
    said = " ".join(capsys.readouterr().err.split())
    assert "evaluation gone is no folder any more: quality is measured on held-out texts" in said


def test_an_evaluation_from_elsewhere(
    recipe_file: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    """Finds the inputs unchanged; the project may even have been moved."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(corpus_file, project / "corpus.jsonl")
    monkeypatch.chdir(project)
    static = "encoders=[{id: static, kind: static, max_tokens: 32, steps: 2}]"
    recipe = recipe_yaml.load(recipe_file, [*QUICK, static, "corpus.path=corpus.jsonl"])
    build(recipe, Path("build"), Progress())
    monkeypatch.chdir(elsewhere)
    assert reference_of(Path("../project/build/tiny/bundle"), Progress()) is not None
    project.rename(tmp_path / "moved")
    assert reference_of(Path("../moved/build/tiny/bundle"), Progress()) is not None
