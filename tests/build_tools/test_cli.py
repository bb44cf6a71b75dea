"""The command line, from arguments to exit status."""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build_tools import cli
from edge_runtime.bundle import Bundle
from tests.build_tools.updates import NEW

ROOT = Path(__file__).parents[2]


COMMANDS = ("build", "distill", "update", "evaluate", "report", "train-reranker", "keygen", "pack", "flash")


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser of each command."""
    for action in cli._parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def beir(folder: Path, *, queries: dict[str, str], qrels: dict[tuple[str, str], int]) -> Path:
    """A BEIR folder with a test split."""
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": query, "text": text}) + "\n" for query, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(lines), "utf-8")
    rows = [f"{query}\t{document}\t{relevance}\n" for (query, document), relevance in qrels.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), "utf-8")
    return folder


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Two queries of words that occur; one more that nobody judged to have an answer."""
    return beir(
        tmp_path / "beir",
        queries={"q1": "yeast dough oven", "q2": "anchor rope", "q3": "pulse"},
        qrels={("q1", "bread-0"): 2, ("q1", "bread-1"): 0, ("q2", "sailing-3"): 1, ("q3", "clinic-1"): 0},
    )


def test_every_command_and_option_has_help() -> None:
    """Nobody has to read the source."""
    names = dict(parsers())
    assert names.keys() == set(COMMANDS)
    for name, parser in names.items():
        for action in parser._actions:
            assert action.help, f"{name} {action.dest}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [name, "-h"]
            for name in (
                "build",
                "distill",
                "update",
                "evaluate",
                "report",
                "train-reranker",
                "pack",
                "flash",
            )
        ),
    ],
)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, status 0."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(arguments)
    assert capsys.readouterr().out.startswith("usage: edge-build")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "expected a whole number from 1; found '0'"),
        ("--max-tokens", "many", "expected a whole number from 1; found 'many'"),
        ("--learning-rate", "nan", "expected a number between 0 and 1; found 'nan'"),
        ("--learning-rate", "-1e-4", "expected a number between 0 and 1; found '-1e-4'"),
    ],
)
def test_options_of_the_reranker(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong number is named before anything is loaded."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train-reranker", "r.yaml", "--out", "there", f"{option}={value}"])
    assert f"argument {option}: {message}" in capsys.readouterr().err


def test_a_reranker_needs_labels(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, and nothing is built."""
    arguments = ["train-reranker", str(recipe_file), "--out", str(tmp_path / "r"), "--build", str(tmp_path)]
    assert cli.main(arguments) == 1
    assert "say where they are in queries.labels" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["build"], ["build", "r.yaml", "--nonsense"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, the usage on stderr."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert "usage: edge-build" in capsys.readouterr().err


def test_build_of_a_finished_bundle(
    built_home: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table whole though it is no terminal, the figures behind it, and where the bundle is."""
    assert cli.main(["build", str(recipe_file), "--out", str(built_home.parent)]) == 0
    out = capsys.readouterr().out
    assert "teacher, exact float32" in out
    assert "layers2: int8 against PyTorch, cosine mean " in out
    assert "…" not in out
    assert out.splitlines()[-1].startswith(f"up to date: {built_home / 'bundle'}  (tiny-1.0.0.edge, ")


def test_an_update(home: Path, given: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Says whose documents the figures are of, and where the new version is; a wrong key is one line."""
    arguments = ["update", str(home / "bundle"), "--add", str(given(NEW)), "--remove", "bread-0", "bread-1"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "with the documents of 1.0.0: others came or went since" in out
    assert re.search(r"^index: recall@10 .* with the documents of 1\.0\.0$", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith(f"built: {home / 'bundle'}  (tiny-1.0.1.edge, ")
    assert cli.main(["update", str(home / "bundle"), "--remove", "bread-0"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"edge-build: --remove: no document of {home / 'bundle'} has the key 'bread-0'"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--set", "no.such=1"], "no"),
        (["--set", "corpus.path=/nowhere.jsonl"], "/nowhere.jsonl: no such file"),
        (["--set", "teacher.model=/nowhere"], "teacher.model /nowhere: cannot be loaded"),
    ],
)
def test_errors_go_to_stderr(
    recipe_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    message: str,
) -> None:
    """Status 1, one message, nothing on stdout."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert cli.main(["build", str(recipe_file), "--out", str(tmp_path), *overrides]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "edge-build: " in captured.err
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_below_the_gates(
    built_home: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, and the figures that fell short."""
    shutil.copytree(built_home, tmp_path / "tiny")
    status = cli.main(["build", str(recipe_file), "--out", str(tmp_path), "--set", "gates.cosine_min=1.0"])
    assert status == 1
    assert "gate at least 1.0000" in capsys.readouterr().err


def test_a_wrong_date(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "abc")
    assert cli.main(["build", str(recipe_file), "--out", str(tmp_path)]) == 1
    expected = "edge-build: SOURCE_DATE_EPOCH: expected whole seconds since 1970; found 'abc'\n"
    assert capsys.readouterr().err == expected


def test_an_output_folder_that_cannot_be(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the path and what to do."""
    (tmp_path / "file").touch()
    assert cli.main(["build", str(recipe_file), "--out", str(tmp_path / "file")]) == 1
    err = capsys.readouterr().err
    place = tmp_path / "file" / "tiny"
    assert err == f"edge-build: {place}: a file is where a folder is to be; choose another place\n"


@pytest.mark.parametrize(("number", "hint"), [(28, True), (122, True), (13, True), (30, True), (5, False)])
def test_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, hint: bool
) -> None:
    """Room and permissions are advised only where they help."""

    def fail(*_: object) -> None:
        raise OSError(number, "It failed", "some/file")

    monkeypatch.setattr("build_tools.recipe_yaml.load", fail)
    assert cli.main(["build", "any.yaml"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("edge-build: some/file: It failed")
    assert ("make room or change permissions" in err) is hint


@pytest.mark.parametrize("limit", [2_000, 10_000, 60_000, 200_000])
def test_a_full_disk(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    """Simulated by the largest size that a file may have; wherever it strikes, one error and no bundle."""
    overrides = ["training.steps=4", "gates.cosine_min=0", "gates.cosine_mean=0", "gates.index_recall=0"]
    options = [part for override in overrides for part in ("--set", override)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        status = cli.main(["build", str(recipe_file), "--out", str(tmp_path), *options])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("edge-build: ")
    assert not (tmp_path / "tiny" / "bundle").exists()
    assert list((tmp_path / "tiny").rglob("*.part")) == []


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 130, and how to go on."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_build", interrupted)
    assert cli.main(["build", "r.yaml"]) == 130
    assert capsys.readouterr().err == "edge-build: interrupted; run the same command again to go on\n"


@pytest.mark.parametrize("module", ["torch", "rich"])
def test_without_the_build_extra(recipe_file: Path, module: str) -> None:
    """The command that installs it."""
    script = (
        f"import sys; sys.modules[{module!r}] = None; from build_tools.cli import main; "
        f"sys.exit(main(['build', {str(recipe_file)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"edge-build: {module}")
    assert done.stderr.endswith("is not installed; pip install 'edge-runtime[build]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_evaluate(bundle: Path, judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All rows, on every judged query; one of the three has no answer, so two thirds are found."""
    assert cli.main(["evaluate", str(bundle), "--data", str(judged), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["basis"], measured["queries"]) == ("labels", 3)
    systems = [row["system"] for row in measured["rows"]]
    assert systems[:2] == ["BM25", "teacher, exact float32"]
    stages = ("exact float32", "int8", "int8, index", "hybrid")
    assert systems[2:] == [f"{encoder}, {what}" for encoder in ("layers2", "static") for what in stages]
    assert all(0 <= row["ndcg_10"] <= 1 for row in measured["rows"])
    assert {row["recall_100"] for row in measured["rows"][1:]} == {0.6667}


def test_evaluate_a_bundle_alone(bundle_copy: Path, judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its build folder the bundle's own rows are left, and stderr says what is not."""
    assert cli.main(["evaluate", str(bundle_copy), "--data", str(judged)]) == 0
    captured = capsys.readouterr()
    assert "Quality on 3 judged queries" in captured.out
    assert "layers2, int8, index" in captured.out
    assert "exact float32" not in captured.out
    assert "no build folder beside the bundle" in captured.err


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        ({"q": "t"}, {("q", "elsewhere"): 1}, "none of its relevant documents is in this bundle"),
        ({"q": "t"}, {("q", "bread-0"): 0}, "none of its relevant documents is in this bundle"),
        (
            {"q": "  "},
            {("q", "bread-0"): 1},
            "queries.jsonl:1: expected an _id and a text",
        ),
    ],
)
def test_evaluate_on_the_wrong_data(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    queries: dict[str, str],
    qrels: dict[tuple[str, str], int],
    message: str,
) -> None:
    """Another corpus, no answers, or a blank query."""
    folder = beir(tmp_path / "beir", queries=queries, qrels=qrels)
    assert cli.main(["evaluate", str(bundle), "--data", str(folder)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["BUNDLE", "--data", "/nowhere"], "/nowhere/queries.jsonl: no such file"),
        (["BUNDLE", "--data", "DATA", "--split", "dev"], "no split 'dev'; it has test"),
        (["/nowhere", "--data", "DATA"], "/nowhere: no such bundle directory"),
    ],
)
def test_evaluate_what_is_not_there(
    bundle: Path, judged: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Data, split or bundle."""
    filled = [a.replace("BUNDLE", str(bundle)).replace("DATA", str(judged)) for a in arguments]
    assert cli.main(["evaluate", *filled]) == 1
    assert message in capsys.readouterr().err


def test_evaluate_a_damaged_bundle(
    bundle_copy: Path, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bytes are checked first."""
    (bundle_copy / "documents.sqlite").write_bytes(b"damaged")
    assert cli.main(["evaluate", str(bundle_copy), "--data", str(judged)]) == 1
    assert "documents.sqlite" in capsys.readouterr().err


def test_pack(bundle_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the file that it wrote; what it wrote unpacks to the bundle."""
    target = tmp_path / "tiny.edge"
    assert cli.main(["pack", str(bundle_copy), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    shutil.unpack_archive(target, tmp_path / "unpacked", "zip")
    Bundle.open(tmp_path / "unpacked").close()


def test_pack_into_a_folder_that_is_not_there(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line."""
    assert cli.main(["pack", str(bundle), str(tmp_path / "no" / "tiny.edge")]) == 1
    err = capsys.readouterr().err
    assert "No such file or directory" in err
    assert len(err.splitlines()) == 1
