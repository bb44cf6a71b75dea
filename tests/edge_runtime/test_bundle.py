"""A bundle opens only when its bytes are those that were built."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime import bundle as bundles
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle, digest, read_manifest, sha256
from edge_runtime.errors import BundleError, IntegrityError, ManifestError, QueryError
from edge_runtime.manifest import FileEntry

Loose = Callable[[bytes], Bundle]


def members(bundle: Path) -> list[str]:
    return [entry.path for entry in manifests.read(bundle / manifests.FILENAME).files]


def refusal(bundle: Path, verify: str = "full") -> list[str]:
    """The problems that opening names, one a file."""
    with pytest.raises(IntegrityError) as caught:
        Bundle.open(bundle, verify=verify)  # type: ignore[arg-type]
    first, *problems = str(caught.value).splitlines()
    assert first == f"{bundle} is not as it was built; copy it again:"
    return [problem.strip() for problem in problems]


@pytest.mark.parametrize("lacking", [(), ("_sha2", "_sha256")])
def test_the_digest(bundle: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]) -> None:
    """The manifest's sha256, with CPython's own code and without."""
    for module in lacking:
        monkeypatch.setitem(sys.modules, module, None)
    expected = hashlib.sha256((bundle / manifests.FILENAME).read_bytes()).hexdigest()
    assert digest(bundle) == expected == sha256(bundle / manifests.FILENAME)


@pytest.mark.parametrize("verify", ["full", "size"])
def test_opens_what_was_built(bundle: Path, verify: str) -> None:
    """Both checks pass on a fresh bundle."""
    opened = Bundle.open(bundle, verify=verify)  # type: ignore[arg-type]
    assert opened.manifest.name == "tiny"
    assert opened.path("tokenizer.json") == bundle / "tokenizer.json"
    opened.close()


def test_another_directory_in_its_place(bundle_copy: Path, tmp_path: Path) -> None:
    """As a build leaves it: what is opened late would be another bundle's, which nobody has compared."""
    opened = Bundle.open(bundle_copy)
    opened.map("tokenizer.json")
    bundle_copy.rename(tmp_path / "before")
    shutil.copytree(tmp_path / "before", bundle_copy)
    for late in (opened.path, opened.map):
        with pytest.raises(BundleError, match="moved or replaced since it was opened; open the bundle again"):
            late(opened.manifest.golden)
    assert len(opened.map("tokenizer.json")) > 0  # what is mapped is its own
    opened.close()


def exchange(file: Path, data: bytes) -> None:
    """Puts another file in its place, as builds and repairs do it."""
    file.with_suffix(".new").write_bytes(data)
    file.with_suffix(".new").replace(file)


@pytest.mark.parametrize("verify", ["full", "size"])
def test_another_file_in_its_place(bundle_copy: Path, verify: str) -> None:
    """As another bundle leaves it that was copied over this one: none of its files answers beside others."""
    opened = Bundle.open(bundle_copy, verify=verify)  # type: ignore[arg-type]
    mapped = bytes(opened.map("tokenizer.json"))
    for member in ("tokenizer.json", opened.manifest.golden):
        exchange(bundle_copy / member, bytes((bundle_copy / member).stat().st_size))
        for _ in range(2):
            with pytest.raises(BundleError, match="moved or replaced since it was opened; open the bundle"):
                opened.path(member)
    with pytest.raises(BundleError, match="moved or replaced since it was opened; open the bundle again"):
        opened.map(opened.manifest.golden)
    assert opened.map("tokenizer.json") == mapped
    opened.close()


def test_equal_bytes_in_its_place(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair of damage is no reason to stop: what was replaced is hashed, once, and nothing else is."""
    hashed = []
    monkeypatch.setattr(bundles, "sha256", lambda path: (hashed.append(path), sha256(path))[1])
    opened = Bundle.open(bundle_copy, verify="size")
    sound = (bundle_copy / "tokenizer.json").read_bytes()
    exchange(bundle_copy / "tokenizer.json", bytes(len(sound)))
    with pytest.raises(BundleError, match="moved or replaced"):
        opened.path("tokenizer.json")
    hashed.clear()
    exchange(bundle_copy / "tokenizer.json", sound)
    for _ in range(2):
        assert opened.path("tokenizer.json").read_bytes() == opened.map("tokenizer.json") == sound
        opened.map(opened.manifest.golden)
    assert hashed == [bundle_copy / "tokenizer.json"]
    opened.close()


def test_a_file_exchanged_while_it_is_opened(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compared is not what lies there."""
    check = bundles.check_files

    def slow(root: Path, *args: Any, **options: Any) -> None:
        check(root, *args, **options)
        exchange(root / "tokenizer.json", bytes((root / "tokenizer.json").stat().st_size))

    monkeypatch.setattr(bundles, "check_files", slow)
    opened = Bundle.open(bundle_copy)
    with pytest.raises(BundleError, match="moved or replaced"):
        opened.map("tokenizer.json")
    opened.close()


def test_wherever_the_process_goes(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service changes to / once it runs; a link to the newest version is put elsewhere."""
    link = bundle_copy.with_name("current")
    link.symlink_to(bundle_copy.name)
    monkeypatch.chdir(bundle_copy.parent)
    opened = Bundle.open(link.name)
    monkeypatch.chdir("/")
    link.unlink()
    assert opened.path("tokenizer.json") == bundle_copy / "tokenizer.json"
    assert len(opened.map(opened.manifest.golden)) > 0
    opened.close()


def test_a_file_that_cannot_be_read_any_more(bundle_copy: Path) -> None:
    """Found when it is mapped, if opening has only looked at sizes."""
    opened = Bundle.open(bundle_copy, verify="size")
    (bundle_copy / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer.json: cannot be read \(No such file or directory\)"):
        opened.map("tokenizer.json")
    opened.close()


def test_every_bit_counts(bundle_copy: Path) -> None:
    """One flipped bit in any file, first or last or between, is noticed and put down to that file."""
    for position in (0.0, 0.5, 1.0):
        for name in members(bundle_copy):
            path = bundle_copy / name
            sound = path.read_bytes()
            spoiled = bytearray(sound)
            spoiled[int((len(sound) - 1) * position)] ^= 1
            path.write_bytes(spoiled)
            (problem,) = refusal(bundle_copy)
            assert problem.startswith(f"{name}: sha256 ")
            Bundle.open(bundle_copy, verify="size").close()  # what "size" trades for speed
            path.write_bytes(sound)
    Bundle.open(bundle_copy).close()


def test_a_changed_manifest_is_noticed(bundle_copy: Path) -> None:
    """A changed hash no longer fits its file."""
    path = bundle_copy / manifests.FILENAME
    old = manifests.read(path).files[0]
    path.write_text(path.read_text().replace(old.sha256, "f" * 64))
    assert refusal(bundle_copy) == [f"{old.path}: sha256 {old.sha256[:12]}…; expected ffffffffffff…"]


def _truncate(path: Path) -> str:
    size = path.stat().st_size
    os.truncate(path, size - 1)
    return f"{size - 1} bytes; expected {size}"


def _grow(path: Path) -> str:
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0")
    return f"{size + 1} bytes; expected {size}"


def _empty(path: Path) -> str:
    size = path.stat().st_size
    os.truncate(path, 0)
    return f"0 bytes; expected {size}"


def _remove(path: Path) -> str:
    path.unlink()
    return "missing"


def _directory(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "expected a plain file"


def _pipe(path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return "expected a plain file"


def _link_out(path: Path) -> str:
    outside = path.parents[2] / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    return "a link; expected a plain file"


def _link_in(path: Path) -> str:
    real = path.with_suffix(".real")
    path.rename(real)
    path.symlink_to(real.name)
    return "a link; expected a plain file"


@pytest.mark.parametrize("verify", ["full", "size"])
@pytest.mark.parametrize("damage", [_truncate, _grow, _empty, _remove, _directory, _pipe, _link_out])
@pytest.mark.parametrize("name", ["dense.usearch", "lexical/terms.bin"])
def test_damage_is_named(bundle_copy: Path, damage: Callable[[Path], str], name: str, verify: str) -> None:
    """Even the quick check sees whatever changes a file's size or kind."""
    problem = damage(bundle_copy / name)
    assert refusal(bundle_copy, verify) == [f"{name}: {problem}"]


def test_a_link_to_a_file_in_the_bundle_is_two_problems(bundle_copy: Path) -> None:
    """The link, and the file that it leads to."""
    _link_in(bundle_copy / "tokenizer.json")
    assert refusal(bundle_copy) == [
        "tokenizer.json: a link; expected a plain file",
        "tokenizer.real: not listed in manifest.yaml",
    ]


def test_a_linked_directory_is_refused(bundle_copy: Path, tmp_path: Path) -> None:
    """Files that are plain, but reached through a link, lie outside."""
    (bundle_copy / "lexical").rename(tmp_path / "lexical")
    (bundle_copy / "lexical").symlink_to(tmp_path / "lexical")
    problems = refusal(bundle_copy)
    assert "lexical: a link; expected a plain file" in problems
    assert "lexical/terms.bin: a link; expected a plain file" in problems


def test_the_bundle_itself_may_be_a_link(bundle: Path, tmp_path: Path) -> None:
    """As `current` is where bundles are installed side by side."""
    (tmp_path / "current").symlink_to(bundle)
    Bundle.open(tmp_path / "current").close()


@pytest.mark.parametrize("name", ["extra", "lexical/extra", ".hidden", "encoders/deep/er"])
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_an_unlisted_file_is_refused(bundle_copy: Path, name: str, make: Callable[[Path], None]) -> None:
    """Of whatever kind, and however deep."""
    path = bundle_copy / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    (problem,) = refusal(bundle_copy)
    assert problem.startswith(f"{name}: ")


def test_a_signature_and_empty_directories_are_let_be(bundle_copy: Path) -> None:
    """Room for the signature that a later version brings; a directory holds no bytes."""
    (bundle_copy / manifests.SIGNATURE).write_text("untrusted comment:")
    (bundle_copy / "empty" / "nest").mkdir(parents=True)
    Bundle.open(bundle_copy).close()


def test_the_manifest_may_not_be_a_link(bundle_copy: Path, tmp_path: Path) -> None:
    """It could change while the directory does not."""
    (bundle_copy / manifests.FILENAME).rename(tmp_path / "manifest")
    (bundle_copy / manifests.FILENAME).symlink_to(tmp_path / "manifest")
    assert refusal(bundle_copy) == ["manifest.yaml: a link; expected a plain file"]


def test_every_problem_is_listed(bundle_copy: Path) -> None:
    """One look tells whether a file or the whole copy went wrong."""
    _remove(bundle_copy / "golden.jsonl")
    _empty(bundle_copy / "documents.npy")
    (bundle_copy / "extra").touch()
    names = [problem.split(":")[0] for problem in refusal(bundle_copy)]
    assert names == ["documents.npy", "golden.jsonl", "extra"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(bundle_copy: Path) -> None:
    """Without the permission to read, the bundle is as good as damaged."""
    (bundle_copy / "tokenizer.json").chmod(0)
    assert refusal(bundle_copy) == ["tokenizer.json: cannot be read (Permission denied)"]


def test_a_file_that_fails_while_it_is_read_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worn-out card answers with an input/output error."""

    def fail(path: Path) -> str:
        if path.name == "tokenizer.json":
            raise OSError(5, "Input/output error")
        return sha256(path)

    monkeypatch.setattr("edge_runtime.bundle.sha256", fail)
    assert refusal(bundle) == ["tokenizer.json: cannot be read (Input/output error)"]


def test_directories_that_are_none(tmp_path: Path) -> None:
    """Each with what to do about it."""
    with pytest.raises(BundleError, match="no such bundle directory; build one with edge-build build"):
        Bundle.open(tmp_path / "gone")
    with pytest.raises(ManifestError, match=r"manifest.yaml: cannot be read \(No such file"):
        Bundle.open(tmp_path)
    (tmp_path / "x.txt").touch()
    with pytest.raises(BundleError, match="no such bundle directory"):
        Bundle.open(tmp_path / "x.txt")
    (tmp_path / "x-1.0.0.edge").touch()
    with pytest.raises(BundleError, match="is a transport file; install it: edge-runtime install"):
        Bundle.open(tmp_path / "x-1.0.0.edge")


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "/dev/null", "\udcff"])
def test_odd_paths_are_one_error(path: str) -> None:
    """Whatever the system says of them."""
    with pytest.raises(BundleError):
        Bundle.open(path)


@pytest.mark.parametrize("path", [None, 5, b"/tmp", ["x"]])
def test_what_is_no_path_is_refused(path: object) -> None:
    """Rather than a TypeError from deep inside."""
    with pytest.raises(QueryError, match="bundle: expected a directory's path; found"):
        read_manifest(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("verify", ["", "none", None, True, ["full"]])
def test_unknown_verification_is_refused(bundle: Path, verify: object) -> None:
    """A slip of the pen must not turn the check off."""
    with pytest.raises(QueryError, match="verify: expected 'full' or 'size'"):
        Bundle.open(bundle, verify=verify)  # type: ignore[arg-type]


def test_maps_a_file_once(bundle: Path) -> None:
    """Views share one read-only mapping, which ends with the bundle."""
    opened = Bundle.open(bundle)
    one, two = opened.map("tokenizer.json"), opened.map("tokenizer.json")
    assert one.obj is two.obj
    assert bytes(one) == (bundle / "tokenizer.json").read_bytes()
    assert one.readonly
    with pytest.raises(ManifestError, match=r"does not list manifest\.yaml"):
        opened.map("manifest.yaml")
    one.release()
    two.release()
    opened.close()
    opened.close()


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "dropped"])
def test_a_descriptor_that_it_holds(bundle: Path, closed: bool) -> None:
    """Is closed once, with the bundle or when nobody has it any more; a later one of that number is not."""
    opened = Bundle.open(bundle, verify="size")
    descriptor = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
    opened.hold(descriptor)
    os.fstat(descriptor)
    if closed:
        opened.close()
        another = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
        assert another == descriptor
        opened.close()
        del opened
        gc.collect()
        os.close(another)
    else:
        del opened
        gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


class BytesPath:
    """Like a path, but of bytes."""

    def __init__(self, path: Path) -> None:
        self._path = os.fsencode(path)

    def __fspath__(self) -> bytes:
        return self._path


def test_a_path_of_bytes(bundle: Path, tmp_path: Path) -> None:
    """As ``os.DirEntry`` has them where bytes were listed."""
    opened = Bundle.open(BytesPath(bundle), verify="size")  # type: ignore[arg-type]
    assert opened.root == bundle
    opened.close()
    with pytest.raises(BundleError, match="nothing: no such bundle directory"):
        Bundle.open(BytesPath(tmp_path / "nothing"))  # type: ignore[arg-type]


def test_a_view_outlives_the_bundle(bundle: Path) -> None:
    """Closing while somebody still reads neither fails nor pulls the pages away."""
    opened = Bundle.open(bundle)
    array = opened.array("documents.npy")
    opened.close()
    assert array.max() == 47


@pytest.fixture
def loose(bundle: Path, tmp_path: Path) -> Loose:
    """Makes a bundle, unverified, whose file x.npy holds the bytes given."""
    manifest = manifests.read(bundle / manifests.FILENAME)

    def make(data: bytes) -> Bundle:
        (tmp_path / "x.npy").write_bytes(data)
        entry = FileEntry("x.npy", len(data), "0" * 64)
        return Bundle(tmp_path, replace(manifest, files=(*manifest.files, entry)))

    return make


def npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0))
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(7, dtype=np.int32),
        np.ones((3, 4), np.float32),
        np.empty(0, np.int64),
        np.empty((0, 5), np.int8),
        np.array(3, np.uint16),
    ],
)
def test_arrays_are_viewed_in_place(loose: Loose, array: np.ndarray) -> None:  # type: ignore[type-arg]
    """Same values, type and shape; read-only; nothing copied."""
    found = loose(npy(array)).array("x.npy")
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)
    assert not found.flags.writeable
    assert not found.flags.owndata


def header(text: str, rest: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + rest


GOOD = npy(np.arange(6, dtype=np.int32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        GOOD[:7],
        GOOD[:40],
        GOOD[:-1],
        GOOD + b"\0",
        GOOD.replace(b"\x93NUMPY\x01", b"\x93NUMPY\x02"),
        npy(np.asfortranarray(np.ones((3, 4)))),
        npy(np.array(["text"])),
        npy(np.array([1j])),
        npy(np.zeros(2, [("a", "i4"), ("b", "f4")])),
        npy(np.array([True])),
        npy(np.array([{"pickled": "object"}], dtype=object)),
        npy(np.array(["2026"], "M8[Y]")),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (-1, -4), }", bytes(16)),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
        header("{'descr': '|V0', 'fortran_order': False, 'shape': (5,), }"),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (4L,), }", bytes(16)),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': 4}", bytes(16)),
        header("{'descr': __import__('os'), 'fortran_order': False, 'shape': (4,)}", bytes(16)),
        header("(" * 300),
        header("'unfinished"),
        header("{'descr': '<i4'"),
    ],
)
def test_other_npy_files_are_refused(loose: Loose, data: bytes) -> None:
    """Cut short, too long, pickled, in Fortran order, of other types, or with a header that lies."""
    with pytest.raises(BundleError, match=r"/x\.npy: not a") as caught:
        loose(data).array("x.npy")
    assert str(caught.value).endswith("; rebuild the bundle")


@given(st.data())
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_npy_file_is_an_array_or_an_error(loose: Loose, data: st.DataObject) -> None:
    """No other exception, and no warning, leaves `array`."""
    spoiled = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BundleError):
        loose(bytes(spoiled)).array("x.npy")
