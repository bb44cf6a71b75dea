"""A device's store: what an install changes, and what nothing may change."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import edge_runtime
from build_tools.pack import pack
from edge_runtime import (
    BundleError,
    CompatibilityError,
    IntegrityError,
    SelfTestError,
    StoreError,
    cli,
    installed,
    self_test,
    store,
)
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle, sha256
from edge_runtime.manifest import FileEntry

Output = pytest.CaptureFixture[str]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Directories of the tiny bundle in other versions."""

    def made(version: str, *, titled: str | None = None) -> Path:
        folder = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("version") / "bundle"))
        manifest = replace(manifests.read(folder / manifests.FILENAME), version=version)
        if titled is not None:  # other bytes in one file
            (folder / "quality.yaml").write_bytes((bundle / "quality.yaml").read_bytes() + titled.encode())
            entry = FileEntry(
                "quality.yaml", (folder / "quality.yaml").stat().st_size, sha256(folder / "quality.yaml")
            )
            files = tuple(entry if each.path == entry.path else each for each in manifest.files)
            manifest = replace(manifest, files=files)
        (folder / manifests.FILENAME).write_bytes(manifests.dump(manifest))
        return folder

    return made


@pytest.fixture(scope="module")
def one(make: Make) -> Path:
    return make("1.0.0")


@pytest.fixture(scope="module")
def two(make: Make) -> Path:
    return make("1.1.0", titled="# two\n")


@pytest.fixture
def untested(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store whose self-test always passes: it is tested for itself."""
    monkeypatch.setattr(self_test, "replay", lambda bundle: self_test.Outcome((), {}))
    return home


def answering() -> str | None:
    """The version that answers to the tiny bundle's name; its files are proven."""
    directory = installed.target("tiny", installed.CURRENT)
    if directory is None:
        return None
    opened = Bundle.open(directory, verify="full")
    opened.close()
    return opened.manifest.version


def test_install_and_ask(home: Path, one: Path, tmp_path: Path) -> None:
    """From a transport file to hits, by name; each step is told."""
    steps: list[str] = []
    outcome = store.install(pack(one, tmp_path / "tiny.edge"), progress=steps.append)
    assert steps == ["checking", "copying", "reading back", "testing", "activating"]
    assert (outcome.before, outcome.activated) == (None, True)
    assert outcome.written == sum(path.stat().st_size for path in one.rglob("*") if path.is_file())
    assert outcome.bundle.directory.parent == home / "bundles" / "tiny"
    with edge_runtime.open("tiny") as retriever, edge_runtime.open(one) as built:
        assert retriever.search("yeast and dough") == built.search("yeast and dough")
    assert list((home / "staging").iterdir()) == []


def test_an_update_writes_what_changed(untested: Path, one: Path, two: Path) -> None:
    """Other files are linked to those of the old version, which stays for a rollback."""
    store.install(one)
    outcome = store.install(two)
    changed = ("quality.yaml", manifests.FILENAME)
    assert outcome.before == "1.0.0"
    assert outcome.written == sum((two / name).stat().st_size for name in changed)
    listed = [(each.version, each.role) for each in installed.of("tiny")]
    assert listed == [("1.0.0", "previous"), ("1.1.0", "current")]
    assert answering() == "1.1.0"


def test_whoever_has_the_old_one_open_keeps_it(untested: Path, one: Path, two: Path) -> None:
    """Also when it has been removed; the next to open gets the new one."""
    store.install(one)
    with edge_runtime.open("tiny") as old:
        before = old.search("yeast")
        store.install(two)
        shutil.rmtree(installed.target("tiny", installed.PREVIOUS) or "")
        assert old.search("yeast") == before
        with edge_runtime.open("tiny") as new:
            assert (old.info().version, new.info().version) == ("1.0.0", "1.1.0")


def test_no_older_version_by_accident(untested: Path, one: Path, two: Path) -> None:
    """It takes a word; then it is an update like any other."""
    store.install(two)
    with pytest.raises(StoreError, match=r"tiny 1\.0\.0 is older than 1\.1\.0, which is installed"):
        store.install(one)
    assert answering() == "1.1.0"
    assert store.install(one, allow_downgrade=True).before == "1.1.0"
    assert answering() == "1.0.0"


def test_versions_are_numbers(untested: Path, make: Make) -> None:
    """1.10 is newer than 1.9."""
    store.install(make("1.9.0"))
    assert store.install(make("1.10.0")).activated


def test_the_same_once_more_repairs(untested: Path, one: Path) -> None:
    """Damaged, missing and strange files of the installed one are put right, the others are not written."""
    directory = store.install(one).bundle.directory
    (directory / "tokenizer.json").write_bytes(b"{}")
    (directory / "documents.npy").unlink()
    (directory / "strange").write_bytes(b"?")
    with pytest.raises(IntegrityError):
        answering()
    outcome = store.install(one)
    assert (outcome.activated, outcome.before) == (False, "1.0.0")
    repaired = ("tokenizer.json", "documents.npy", manifests.FILENAME)
    assert outcome.written == sum((one / name).stat().st_size for name in repaired)
    assert answering() == "1.0.0"


def test_rollback_and_back(untested: Path, one: Path, two: Path) -> None:
    """The two change places, as often as one likes."""
    store.install(one)
    with pytest.raises(StoreError, match="tiny: no previous bundle to go back to"):
        store.rollback("tiny")
    store.install(two)
    assert [store.rollback("tiny").version for _ in range(3)] == ["1.0.0", "1.1.0", "1.0.0"]
    assert answering() == "1.0.0"


def test_no_rollback_to_a_damaged_one(untested: Path, one: Path, two: Path) -> None:
    """What answers goes on answering."""
    previous = store.install(one).bundle.directory
    store.install(two)
    (previous / "tokenizer.json").unlink()  # the other version has the same file by another name
    (previous / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        store.rollback("tiny")
    assert answering() == "1.1.0"


def test_prune_keeps_what_is_needed(untested: Path, make: Make) -> None:
    """The current, the previous and as many others as asked for, the newest."""
    for minor in range(5):
        store.install(make(f"1.{minor}.0"))
    assert [each.version for each in store.prune("tiny", keep=2)] == ["1.0.0"]
    assert [each.version for each in store.prune("tiny")] == ["1.1.0", "1.2.0"]
    assert store.prune("tiny") == []
    assert [each.version for each in installed.of("tiny")] == ["1.3.0", "1.4.0"]
    with pytest.raises(StoreError, match="keep: expected 0 or more; found -1"):
        store.prune("tiny", keep=-1)


def test_a_dry_run_changes_nothing(untested: Path, one: Path, two: Path) -> None:
    """But says what is wrong with the version, or the space."""
    assert store.install(one, dry_run=True).activated is False
    assert answering() is None
    store.install(two)
    with pytest.raises(StoreError, match="is older than"):
        store.install(one, dry_run=True)


def test_no_space(untested: Path, one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is written."""
    monkeypatch.setattr(store, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(StoreError, match=r"MB free; tiny 1\.0\.0 needs .* edge-runtime prune removes"):
        store.install(one)
    assert not (untested / "bundles").exists()


def test_one_change_at_a_time(untested: Path, one: Path) -> None:
    """The second is told so; the lock of one that died is free."""
    untested.mkdir()
    with (untested / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another change is under way; try again"):
            store.install(one)
    assert store.install(one).activated


def test_what_fails_its_test_never_answers(home: Path, one: Path, two: Path, tmp_path: Path) -> None:
    """A sound file that gives other vectors than at the build: refused, and no trace of it."""
    store.install(one)
    folder = Path(shutil.copytree(two, tmp_path / "bundle"))
    lines = [json.loads(line) for line in (folder / "golden.jsonl").read_text("utf-8").splitlines()]
    for line in lines:
        line["vector"] = {name: vector[::-1] for name, vector in line["vector"].items()}
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    manifest = manifests.read(folder / manifests.FILENAME)
    golden = folder / "golden.jsonl"
    entry = FileEntry("golden.jsonl", golden.stat().st_size, sha256(golden))
    files = tuple(entry if each.path == entry.path else each for each in manifest.files)
    (folder / manifests.FILENAME).write_bytes(manifests.dump(replace(manifest, files=files)))
    with pytest.raises(SelfTestError, match="cosine"):
        store.install(folder)
    assert answering() == "1.0.0"
    assert [each.version for each in installed.of("tiny")] == ["1.0.0"]


@pytest.mark.parametrize("member", ["tokenizer.json", "dense.usearch", "documents.sqlite"])
def test_a_damaged_source(untested: Path, one: Path, two: Path, tmp_path: Path, member: str) -> None:
    """Of a directory or a transport file: one line, and the old bundle answers."""
    store.install(one)
    folder = Path(shutil.copytree(two, tmp_path / "bundle"))
    packed = pack(folder, tmp_path / "tiny.edge")
    data = bytearray(packed.read_bytes())
    content = (folder / member).read_bytes()
    place = bytes(data).index(content) + len(content) // 2
    data[place] ^= 1
    packed.write_bytes(data)
    for damage in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"x", None):
        (folder / member).unlink(missing_ok=True)
        if damage is not None:
            (folder / member).write_bytes(damage)
        for source in (folder, packed):
            with pytest.raises(IntegrityError) as caught:
                store.install(source)
            assert member in str(caught.value)
            assert "\n" not in str(caught.value)
    assert answering() == "1.0.0"


def test_what_is_no_bundle(untested: Path, tmp_path: Path) -> None:
    """Nothing there, a text, an empty folder, a pipe, a bundle for another runtime."""
    (tmp_path / "text.edge").write_text("hello, this is no zip", "utf-8")
    (tmp_path / "folder").mkdir()
    for name in ("absent.edge", "text.edge", "folder"):
        with pytest.raises(BundleError, match=name):
            store.install(tmp_path / name)
    (tmp_path / "folder" / manifests.FILENAME).write_text("format: 99\n", "utf-8")
    with pytest.raises(CompatibilityError, match="bundle format 99"):
        store.install(tmp_path / "folder")


@pytest.mark.parametrize("name", ["..", "../tiny", "a/b", "", "A", "x" * 65])
def test_names_are_not_paths(untested: Path, name: str) -> None:
    """Nothing outside the store is ever touched."""
    for action in (store.rollback, store.prune):
        with pytest.raises(StoreError, match="not a bundle's name"):
            action(name)


def test_a_store_that_cannot_be_written(untested: Path, one: Path) -> None:
    """A file where the folder should be."""
    untested.write_text("", "utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        store.install(one)


def test_opening_by_name(untested: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By sizes, since it was hashed; a directory of that name comes first."""
    with pytest.raises(BundleError, match=r"tiny: no such directory, .* is installed \(none is\)"):
        edge_runtime.open("tiny")
    directory = store.install(one).bundle.directory
    data = bytearray((directory / "quality.yaml").read_bytes())
    data[-2] ^= 1
    (directory / "quality.yaml").write_bytes(data)
    edge_runtime.open("tiny").close()
    with pytest.raises(IntegrityError):
        edge_runtime.open("tiny", verify="full")
    with pytest.raises(IntegrityError):
        edge_runtime.open(directory)
    with pytest.raises(BundleError, match=r"tinny: no such directory, .* \(tiny\); build one"):
        edge_runtime.open("tinny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    with pytest.raises(BundleError, match=r"tiny/manifest\.yaml: cannot be read"):
        edge_runtime.open("tiny")


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Sets standard input."""

    def given(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return given


def test_commands(
    untested: Path, one: Path, two: Path, tmp_path: Path, capsys: Output, stdin: Callable[[bytes], None]
) -> None:
    """Install from a directory and from a pipe, status, search by name, rollback, prune."""
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out == "nothing is installed\n"
    assert cli.main(["install", str(one)]) == 0
    assert "tiny 1.0.0: answers now, " in capsys.readouterr().out
    stdin(pack(two, tmp_path / "tiny.edge").read_bytes())
    assert cli.main(["install", "-", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["version"], facts["before"], facts["activated"]) == ("1.1.0", "1.0.0", True)
    assert cli.main(["install", str(two)]) == 0
    assert capsys.readouterr().out == "tiny 1.1.0: answered already\n"
    for arguments in (["info", "tiny"], ["search", "tiny", "yeast"], ["verify", "tiny", "--files-only"]):
        assert cli.main(arguments) == 0
        assert capsys.readouterr().out
    assert cli.main(["rollback", "tiny"]) == 0
    assert capsys.readouterr().out == "tiny 1.0.0: answers now\n"
    assert cli.main(["status", "tiny", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["bundles"]
    assert [(each["version"], each["role"]) for each in listed] == [
        ("1.0.0", "current"),
        ("1.1.0", "previous"),
    ]
    assert cli.main(["prune", "tiny"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    assert cli.main(["install", str(one), "--dry-run"]) == 0
    assert capsys.readouterr().out == "tiny 1.0.0: can be installed\n"
    assert cli.main(["search", "tinny", "yeast"]) == 1
    assert capsys.readouterr().err.startswith("edge-runtime: tinny: no such directory, and no bundle")
