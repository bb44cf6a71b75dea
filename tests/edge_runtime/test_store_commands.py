"""install, status, rollback, mark-good, prove and prune; names where other commands take a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build_tools.pack import pack
from edge_runtime import cli
from tests import versions

Run = Callable[..., str]


@pytest.fixture(scope="module")
def releases(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The tiny bundle as 1.0.0 and 1.1.0, packed."""
    files = []
    for version in ("1.0.0", "1.1.0"):
        folder = tmp_path_factory.mktemp("release")
        copy = versions.another(bundle, folder / "bundle", version)
        files.append(str(pack(copy, folder / f"tiny-{version}.edge")))
    return files


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command's output, or its error where that is expected."""

    def command(*arguments: str, status: int = 0) -> str:
        assert cli.main(arguments) == status
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    return command


def test_from_a_file_to_an_answer(run: Run, releases: list[str]) -> None:
    """And from one version to the next and back."""
    assert run("install", releases[0]).startswith("tiny 1.0.0 installed: 0.")
    assert run("install", releases[0]) == "tiny 1.0.0 is installed already, as built; nothing to do\n"
    assert "would be installed: 0.0 MB new, 0." in run("install", releases[1], "--dry-run")
    assert "; before it: 1.0.0-" in run("install", releases[1], "--tries", "5", "--no-self-test")
    shown = run("status")
    assert shown.startswith("tiny: 1.1.0-")
    assert "on trial: opened 0 of 5 times; mark-good ends it" in shown
    assert "(rollback goes back to it)" in shown
    assert "1. " in run("search", "tiny", "yeast", "and", "dough")
    assert "opened 1 of 5 times" in run("status", "tiny")
    assert run("mark-good", "tiny").endswith("is good\n")
    assert "on trial" not in run("status", "tiny")
    assert "rolled back to 1.0.0-" in run("rollback", "tiny")
    assert "no bundle before" in run("rollback", "tiny", status=1)
    assert "removed" in run("prune", "--keep", "1")
    assert run("prune") == "nothing to remove\n"


def test_names_in_place_of_directories(run: Run, releases: list[str]) -> None:
    """Of the commands that look at a bundle without asking it."""
    run("install", releases[0], "--no-self-test")
    assert run("info", "tiny").startswith("bundle     tiny 1.0.0")
    assert "as built" in run("verify", "tiny", "--files-only")
    assert run("doctor", "tiny")
    assert json.loads(run("bench", "tiny", "-n", "5", "--warm-up", "0", "--cold-starts", "0", "--json"))
    assert "opens with layers2 here" in run("calibrate", "tiny", "-n", "5")
    assert "tiny: no such bundle" in run("info", "tinY", status=1).lower()
    assert (
        json.loads(run("status", "--json"))[0]["events"][0]["result"] == "done"
    )  # a calibration took nothing away


def test_json(run: Run, releases: list[str]) -> None:
    """For programs."""
    outcome: dict[str, Any] = json.loads(run("install", releases[0], "--no-self-test", "--json"))
    assert (outcome["done"], outcome["name"], outcome["previous"]) == ("installed", "tiny", None)
    run("install", releases[1], "--no-self-test")
    assert json.loads(run("mark-good", "tiny", "--json"))["current"].startswith("1.1.0-")
    assert json.loads(run("rollback", "tiny", "--json")) == {"name": "tiny", "current": outcome["bundle"]}
    (pruned,) = json.loads(run("prune", "tiny", "--keep", "1", "--json"))
    assert [bundle[:5] for bundle in pruned["removed"]] == ["1.1.0"]


def test_prune_of_a_name_that_is_broken(
    run: Run, home: Path, releases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is on its own line, and the status tells that something is."""
    run("install", releases[0], "--no-self-test")
    (home / "bundles/tiny/current").unlink()
    (home / "bundles/tiny/current").mkdir()
    assert cli.main(["prune"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("tiny: all kept: ")
    assert captured.out.endswith(
        "expected a link to an installed bundle; it is none; install the bundle again\n"
    )
    assert captured.err == "edge-runtime: 1 of 1 names cannot be pruned; edge-runtime status has more\n"
    assert cli.main(["prune", "--json"]) == 1
    (pruned,) = json.loads(capsys.readouterr().out)
    assert (pruned["removed"], "it is none" in pruned["problem"]) == ([], True)


def test_nothing_installed(run: Run, home: Path) -> None:
    """Said in words; and nothing is made."""
    assert run("status") == "nothing is installed\n"
    assert run("status", "--json") == "[]\n"
    assert "tiny: not installed" in run("status", "tiny", status=1)
    assert not home.exists()


def test_prove(run: Run, releases: list[str]) -> None:
    """With the golden queries: a trial ends; the second time there is none to end."""
    run("install", releases[0], "--no-self-test")
    run("install", releases[1], "--no-self-test", "--tries", "5")
    assert run("prove", "tiny").endswith(": as built, marked good\n")
    (proof,) = json.loads(run("prove", "--json"))
    assert proof["bundle"].startswith("1.1.0-")
    assert (proof["marked_good"], proof["problem"]) == (False, None)


def test_prove_what_is_damaged(
    run: Run, home: Path, releases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is on the bundle's line, the status tells that something is."""
    run("install", releases[0], "--no-self-test")
    (card,) = home.glob("bundles/tiny/1.0.0-*/quality.yaml")
    card.write_text("{}")
    assert cli.main(["prove"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("tiny: 1.0.0-")
    assert "quality.yaml" in captured.out
    assert "1 of 1 bundles are not as they should be" in captured.err


def test_errors_are_one_line(run: Run, releases: list[str], tmp_path: Path) -> None:
    """Whatever is given."""
    broken = tmp_path / "broken.edge"
    broken.write_bytes(Path(releases[0]).read_bytes()[:-5])
    for arguments in (
        ("install", str(broken)),
        ("install", "/nowhere"),
        ("install", releases[0], "--tries", "-1"),
        ("rollback", "../x"),
        ("mark-good", ""),
        ("prove", "nothing"),
        ("prune", "--keep", "0"),
    ):
        error = run(*arguments, status=1)
        assert error.startswith("edge-runtime: ")
        assert error.count("\n") == 1
