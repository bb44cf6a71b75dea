"""What a manifest must say, and what it may not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import __version__
from edge_runtime import manifest as manifests
from edge_runtime.errors import BundleError, CompatibilityError, ManifestError, QueryError
from edge_runtime.manifest import EncoderCost, EncoderQuality, EncoderSpec, Manifest

SHA = "0" * 64
FILES = (
    *("dense.usearch", "documents.npy", "documents.sqlite", "encoders/a.onnx", "golden.jsonl"),
    *("lexical/terms.bin", "quality.yaml", "tokenizer.json"),
)
TEXT = f"""\
format: 1
name: tiny
version: 1.0.0
created: '2026-01-31T12:00:00Z'
compatible: {{runtime: 0.1.0}}
encoders:
- {{id: a, kind: onnx, path: encoders/a.onnx, tokenizer: tokenizer.json, ndim: 32, max_tokens: 64, prompt: '',
    layers: 2, writer: {{onnx: 1.2.3}}}}
index: {{path: dense.usearch, search: exact, metric: cos, dtype: i8, ndim: 32, count: 9, scale: 240.5,
    expansion: 64, writer: {{usearch: 2.26.1}}}}
lexical: {{path: lexical, variant: lucene, k1: 0.9, b: 0.4, stemmer: english, count: 9, terms: 3,
    writer: {{}}}}
documents: {{path: documents.sqlite, owners: documents.npy, passages: 9, documents: 4, writer: {{}}}}
fusion: {{method: rrf, k: 60, depth: 100}}
golden: golden.jsonl
quality: quality.yaml
licences:
- {{part: documents, licence: CC0-1.0}}
files:
{"".join(f"- {{path: {path}, size: 1, sha256: '{SHA}'}}" + chr(10) for path in FILES)}"""

REAL = manifests.parse(TEXT.encode())

QUALITY = {"ndcg_10": 0.64, "retention": 0.98, "basis": "labels"}

Change = Callable[[Any], object]


def plain() -> Any:
    """The sample as plain values, to be spoiled."""
    return yaml.safe_load(TEXT)


def parse(value: Any) -> Manifest:
    return manifests.parse(yaml.safe_dump(value, sort_keys=False).encode(), "bundle/manifest.yaml")


def test_reads_every_section() -> None:
    """A sound manifest arrives as frozen dataclasses."""
    assert REAL.name == "tiny"
    assert REAL.encoders[0].writer == {"onnx": "1.2.3"}
    assert REAL.index.scale == 240.5
    assert REAL.fusion.depth == 100
    assert REAL.entry("tokenizer.json").sha256 == SHA
    assert [entry.path for entry in REAL.files] == list(FILES)


def test_reads_back_what_it_writes() -> None:
    """`parse` and `dump` are each other's inverse, and equal manifests have equal bytes."""
    data = manifests.dump(REAL)
    assert manifests.parse(data) == REAL
    assert manifests.dump(manifests.parse(data)) == data


def test_two_encoders_may_share_a_writer() -> None:
    """One mapping used twice is written out twice: the format knows no aliases."""
    first = REAL.encoders[0]
    both = replace(REAL, encoders=(first, replace(first, id="b")))
    assert manifests.parse(manifests.dump(both)) == both


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.floats(min_value=1e-300, max_value=1e300),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.text("0.1e+x: #", max_size=9)
    ),
)
@settings(deadline=None, max_examples=100)
def test_any_content_survives_the_round_trip(prompt: str, scale: float, writer: dict[str, str]) -> None:
    """Odd prompts, scales and versions come back as they went."""
    encoder = replace(REAL.encoders[0], prompt=prompt, writer=writer)
    changed = replace(REAL, encoders=(encoder,), index=replace(REAL.index, scale=scale))
    assert manifests.parse(manifests.dump(changed)) == changed


def put(section: str, key: str, value: object) -> Change:
    """Sets one value; a section such as ``encoders.0`` or the root, ``""``."""

    def change(manifest: Any) -> None:
        for part in filter(None, section.split(".")):
            manifest = manifest[int(part) if part.isdigit() else part]
        manifest[key] = value

    return change


BROKEN: list[tuple[Change, str]] = [
    (put("", "colour", "red"), "colour: unknown key"),
    (put("index", "colour", "red"), "index.colour: unknown key"),
    (lambda m: m.pop("golden"), "golden: missing; this key is required"),
    (lambda m: m["files"][2].pop("size"), "files.2.size: missing; this key is required"),
    (put("", "name", 7), "name: expected text; found 7"),
    (put("", "name", "Tiny"), "name: expected lower-case letters"),
    (put("", "name", "../x"), "name: expected lower-case letters"),
    (put("", "name", "x" * 65), "name: expected lower-case letters"),
    (put("", "version", "1.0"), "version: expected three numbers such as 1.0.0"),
    (put("", "version", "1.0.0-rc1"), "version: expected three numbers such as 1.0.0"),
    (put("", "created", "yesterday"), "created: expected a UTC time"),
    (put("", "created", "2026-01-31T12:00:00Z\x1b[2J"), "created: expected a UTC time"),
    (put("compatible", "runtime", "new"), "compatible.runtime: expected a version"),
    (put("compatible", "runtime", "9" * 5000 + ".0.0"), "compatible.runtime: expected a version"),
    (put("", "compatible", "0.1.0"), "compatible: expected keys and values"),
    (put("", "encoders", []), "encoders: expected at least one encoder"),
    (put("", "encoders", {}), "encoders: expected a list"),
    (put("encoders.0", "kind", "coreml"), "encoders.0.kind: expected one of onnx, tflite, static"),
    (put("encoders.0", "lengths", [16]), "encoders.0.lengths: only for tflite, and this is onnx"),
    (
        put("encoders.0", "requires", ["sme"]),
        "encoders.0.requires.0: expected one of dot_product; found 'sme'",
    ),
    (put("encoders.0", "requires", "dot_product"), "encoders.0.requires: expected a list"),
    (
        put("encoders.0", "weights", "a.bin"),
        "encoders.0.weights: expected another file beside 'encoders/a.onnx'",
    ),
    (put("encoders.0", "weights", "encoders/a.onnx"), "encoders.0.weights: expected another file beside"),
    (put("encoders.0", "weights", "encoders/a.bin"), "files: not listed although used: 'encoders/a.bin'"),
    (put("encoders.0", "id", "a/b"), "encoders.0.id: expected lower-case"),
    (put("encoders.0", "id", "auto"), "encoders.0.id: expected another name; 'auto' means the calibrated"),
    (put("encoders.0", "layers", -1), "encoders.0.layers: expected 0 or more; found -1"),
    (
        put("encoders.0", "kind", "static"),
        "files: not listed although used: 'encoders/a.onnx/table.npy', 'encoders/a.onnx/scales.npy', "
        "'encoders/a.onnx/bigrams.npy'",
    ),
    (put("encoders.0", "quality", 0.5), "encoders.0.quality: expected keys and values; found 0.5"),
    (
        put("encoders.0", "quality", {"ndcg_10": 0.5, "basis": "labels"}),
        "encoders.0.quality.retention: missing; this key is required",
    ),
    (put("encoders.0", "quality", QUALITY | {"ndcg_10": 1.5}), "encoders.0.quality.ndcg_10: expected 0 to 1"),
    (put("encoders.0", "quality", QUALITY | {"retention": -0.1}), "encoders.0.quality.retention: expected 0"),
    (put("encoders.0", "quality", QUALITY | {"basis": "hope"}), "encoders.0.quality.basis: expected one of"),
    (
        put("encoders.0", "quality", QUALITY | {"version": "1.0"}),
        "encoders.0.quality.version: expected three numbers such as 1.0.0; found '1.0'",
    ),
    (put("encoders.0", "cost", {"bytes": -1, "macs": 1}), "encoders.0.cost.bytes: expected 0 or more"),
    (put("encoders.0", "cost", {"bytes": 1, "macs": 1.5}), "encoders.0.cost.macs: expected a whole number"),
    (put("encoders.0", "ndim", 0), "encoders.0.ndim: expected more than 0"),
    (put("encoders.0", "ndim", 33), "encoders: a: 33 dimensions; index has 32"),
    (put("encoders.0", "max_tokens", True), "encoders.0.max_tokens: expected a whole number"),
    (put("encoders.0", "path", "/etc/passwd"), "files: not listed although used: '/etc/passwd'"),
    (put("encoders.0", "tokenizer", "other.json"), "files: not listed although used: 'other.json'"),
    (
        lambda m: m.update(encoders=[*m["encoders"], *plain()["encoders"]]),
        "encoders: the same id twice: a, a",
    ),
    (put("index", "search", "ivf"), "index.search: expected one of exact, hnsw, two-stage, pq"),
    (put("index", "search", "pq"), "index.path: expected a folder for pq; found 'dense.usearch'"),
    (put("index", "search", "two-stage"), "index.path: expected a folder for two-stage; found"),
    (put("index", "path", "dense"), "files: not listed although used: 'dense/graph.usearch'"),
    (
        lambda m: m["index"].update(search="pq", path="dense"),
        "files: not listed although used: 'dense/codes.faiss'",
    ),
    (put("index", "count", 10), "index: index, lexical and documents differ in passages: [9, 10]"),
    (put("lexical", "count", 8), "index: index, lexical and documents differ in passages: [8, 9]"),
    (put("index", "scale", float("nan")), "index.scale: expected a finite number"),
    (put("index", "scale", -1.0), "index.scale: expected more than 0"),
    (put("index", "path", "gone.usearch"), "files: not listed although used: 'gone.usearch'"),
    (put("lexical", "path", "words"), "files: nothing listed under 'words'"),
    (put("lexical", "path", ""), "files: nothing listed under ''"),
    (put("lexical", "terms", -1), "lexical.terms: expected 0 or more"),
    (put("documents", "documents", 0), "documents.documents: expected more than 0"),
    (put("documents", "documents", 10), "documents.documents: 10 in 9 passages"),
    (put("documents", "owners", "gone"), "files: not listed although used: 'gone'"),
    (
        put("documents", "fields", {"path": "gone", "names": ["a"]}),
        "files: not listed although used: 'gone'",
    ),
    (put("documents", "fields", {"path": "x", "names": []}), "documents.fields.names: expected at least one"),
    (put("documents", "fields", {"path": "x", "names": ["a", "a"]}), "documents.fields.names: the same name"),
    (put("fusion", "k", 0), "fusion.k: expected more than 0"),
    (put("fusion", "depth", 2**70), "fusion.depth: expected a number of at most 64 bits"),
    (put("", "golden", "gone"), "files: not listed although used: 'gone'"),
    (put("licences", 0, {"part": "x"}), "licences.0.licence: missing"),
    (put("files.0", "size", -1), "files.0.size: expected 0 or more; found -1"),
    (put("files.0", "size", 1.5), "files.0.size: expected a whole number"),
    (put("files.0", "sha256", SHA[1:]), "files.0.sha256: expected 64 lower-case hexadecimal digits"),
    (put("files.0", "sha256", "A" * 64), "files.0.sha256: expected 64 lower-case hexadecimal digits"),
    (lambda m: m["files"].append(dict(m["files"][0])), "files: listed more than once: dense.usearch"),
]
for _path in (
    *(
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./x",
        "a//x",
        "a/",
        "",
        ".",
        "..",
        "a\\b",
        "C:x",
        "a\nb",
        "a\0b",
    ),
    *("x" * 256, manifests.FILENAME, manifests.SIGNATURE, "a\u202eb", "~\x7f"),
):
    BROKEN.append((put("files.0", "path", _path), "files.0.path: expected a plain relative path; found '"))


@pytest.mark.parametrize(("change", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_refuses(change: Change, problem: str) -> None:
    """Each rule of the format, with the place, what was expected and what was found."""
    value = plain()
    change(value)
    with pytest.raises(ManifestError) as caught:
        parse(value)
    message = str(caught.value)
    assert message.startswith(f"bundle/manifest.yaml: {problem}")
    assert len(message) < 400
    assert message.isprintable()


@pytest.mark.parametrize(
    "value", [None, 3, "text", [], {}, {"format": None}, {"format": "1"}, {"format": True}]
)
def test_refuses_other_files(value: object) -> None:
    """YAML without a format number is no manifest."""
    with pytest.raises(ManifestError, match="no 'format' number; this is not a bundle's manifest"):
        parse(value)


@pytest.mark.parametrize("number", [0, 2, -1, 2**80])
def test_another_format_is_incompatible_whatever_else_it_says(number: int) -> None:
    """A later format may look quite different; its number is what counts."""
    with pytest.raises(CompatibilityError, match="this runtime reads 1; update edge-runtime or rebuild"):
        parse({"format": number, "unheard": "of"})


def test_a_format_number_without_end_is_refused() -> None:
    """Hexadecimal digits pass YAML's limits, and must pass ours when they are printed."""
    with pytest.raises(CompatibilityError, match="a number beyond 64 bits"):
        manifests.parse(b"format: 0x" + b"f" * 10_000)


def next_version() -> str:
    major, minor, patch = (int(number) for number in __version__.split("."))
    return f"{major}.{minor}.{patch + 1}"


@pytest.mark.parametrize("runtime", [next_version(), "0.10.0", "999999999.0.0"])
def test_a_newer_runtime_is_asked_for_by_name(runtime: str) -> None:
    """A bundle made for a later runtime says so, even where this one does not know its keys."""
    value = plain() | {"compatible": {"runtime": runtime}, "new_key": 1}
    with pytest.raises(CompatibilityError) as caught:
        parse(value)
    assert f"made for edge-runtime {runtime} or newer, this is {__version__}; update" in str(caught.value)


@pytest.mark.parametrize("runtime", ["0.0.0", "0.0.99", __version__])
def test_an_older_or_this_runtime_will_do(runtime: str) -> None:
    """`compatible.runtime` is a lower bound."""
    assert parse(plain() | {"compatible": {"runtime": runtime}}).compatible.runtime == runtime


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfe\x00", "not valid YAML"),
        (TEXT.encode().replace(b"tiny", b"t\xe9ny"), "not valid YAML"),
        (TEXT.encode() + b"\0", "not valid YAML"),
        (TEXT.encode() + b"name: other\n", "the key 'name' stands twice"),
        (b"format: 1\na: &a [x, x]\nb: [*a, *a]\n", "anchors and aliases are not used here"),
        (b"[" * 100, "nested deeper"),
        (b" " * (manifests.MAX_BYTES + 1), "larger than 1048576 bytes; this is not a manifest"),
    ],
)
def test_refuses_bytes(data: bytes, problem: str) -> None:
    """What is not even the YAML of a manifest."""
    with pytest.raises(ManifestError, match=problem):
        manifests.parse(data)


def test_thousands_of_files_are_fine() -> None:
    """The limit on the manifest is its size, not the number of files."""
    more = "".join(f"- {{path: f{i}, size: 0, sha256: '{SHA}'}}\n" for i in range(3_000))
    assert len(manifests.parse((TEXT + more).encode()).files) == 3_000 + len(FILES)


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_a_manifest_or_an_error(data: bytes) -> None:
    """No other exception leaves the parser."""
    with pytest.raises(BundleError):
        manifests.parse(data)


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_a_damaged_manifest_is_a_manifest_or_an_error(data: st.DataObject) -> None:
    """A few bytes changed, lost or added."""
    spoiled = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(spoiled) - 1))
        end = start + data.draw(st.integers(0, 3))
        spoiled[start:end] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(BundleError):
        manifests.parse(bytes(spoiled))


def test_finds_encoders() -> None:
    """By id, or the first."""
    first = REAL.encoders[0]
    second: EncoderSpec = replace(first, id="b", layers=6)
    both = replace(REAL, encoders=(first, second))
    assert both.encoder() is both.encoder("a") is first
    assert both.encoder("b") is second
    with pytest.raises(QueryError, match="encoder: bundle tiny has a, b; found 'c'"):
        both.encoder("c")


@pytest.mark.parametrize(
    ("lengths", "problem"),
    [
        ([64, 16], "expected rising numbers from 1; found 64, 16"),
        ([64, 64], "expected rising numbers from 1; found 64, 64"),
        ([0, 64], "expected rising numbers from 1; found 0, 64"),
        ([16, 63], "expected 64 in the end; found 63"),
        ([16.0, 64], "expected a whole number; found 16.0"),
    ],
)
def test_a_tflite_encoder_names_its_lengths(lengths: list[float], problem: str) -> None:
    """Rising, to the longest query that the encoder reads; none where it takes any number of tokens."""
    value = plain()
    value["encoders"][0] |= {"kind": "tflite", "lengths": []}
    assert parse(value).encoders[0].lengths == ()
    value["encoders"][0] |= {"kind": "tflite", "lengths": [16, 64]}
    assert parse(value).encoders[0].lengths == (16, 64)
    value["encoders"][0]["lengths"] = lengths
    with pytest.raises(ManifestError, match=problem):
        parse(value)


def test_a_static_encoder_is_three_files() -> None:
    """The path is their directory; each must be listed, for each has a hash of its own."""
    value = plain()
    value["encoders"][0] |= {"kind": "static", "path": "encoders/a", "layers": 0}
    members = [f"encoders/a/{name}" for name in ("table.npy", "scales.npy", "bigrams.npy")]
    value["files"] += [{"path": member, "size": 1, "sha256": SHA} for member in members]
    assert parse(value).encoders[0].members == tuple(members)
    assert REAL.encoders[0].members == ("encoders/a.onnx",)
    for member in members:
        files = [entry for entry in value["files"] if entry["path"] != member]
        with pytest.raises(ManifestError, match=f"files: not listed although used: '{member}'"):
            parse(value | {"files": files})


def test_an_onnx_encoder_may_be_two_files() -> None:
    """The model and its weights, each with a hash of its own; other kinds have none."""
    value = plain()
    value["encoders"][0]["weights"] = "encoders/a.bin"
    value["files"].append({"path": "encoders/a.bin", "size": 1, "sha256": SHA})
    found = parse(value)
    assert found.encoders[0].members == ("encoders/a.onnx", "encoders/a.bin")
    assert manifests.parse(manifests.dump(found)) == found
    value["encoders"][0] |= {"kind": "static", "layers": 0}
    with pytest.raises(ManifestError, match=r"encoders.0.weights: only for onnx, and this is static"):
        parse(value)


def test_a_quality_may_be_of_an_earlier_version() -> None:
    """That is written where it is so, and nowhere else."""
    value = plain()
    value["encoders"][0]["quality"] = QUALITY | {"version": "1.0.0"}
    found = parse(value)
    assert found.encoders[0].quality == EncoderQuality(0.64, 0.98, "labels", version="1.0.0")
    assert manifests.parse(manifests.dump(found)) == found


@pytest.mark.parametrize("retention", [None, 0.0, 0.98, 1.02])
def test_an_encoder_may_tell_its_quality_and_cost(retention: float | None) -> None:
    """Both arrive typed and survive the round trip; without them nothing is written."""
    value = plain()
    quality = QUALITY | {"retention": retention}
    value["encoders"][0] |= {"quality": quality, "cost": {"bytes": 18_000_000, "macs": 85_000_000}}
    found = parse(value)
    assert found.encoders[0].quality == EncoderQuality(0.64, retention, "labels")
    assert found.encoders[0].cost == EncoderCost(bytes=18_000_000, macs=85_000_000)
    assert manifests.parse(manifests.dump(found)) == found
    assert (REAL.encoders[0].quality, REAL.encoders[0].cost) == (None, None)
    assert b"quality:" not in manifests.dump(REAL).replace(b"quality: quality.yaml", b"")


def test_an_unlisted_path_is_an_error() -> None:
    """Nobody gets at a file that was not checked."""
    with pytest.raises(ManifestError, match="does not list x; rebuild"):
        REAL.entry("x")


def test_reads_a_file(tmp_path: Path) -> None:
    """And names it when something is wrong with it."""
    path = tmp_path / "manifest.yaml"
    with pytest.raises(ManifestError, match=r"manifest.yaml: cannot be read \(No such file"):
        manifests.read(path)
    path.write_text(TEXT)
    assert manifests.read(path) == REAL
    path.write_text("format: 1\n")
    with pytest.raises(ManifestError, match=f"{path}: name: missing"):
        manifests.read(path)


def test_reads_no_more_than_a_manifest(tmp_path: Path) -> None:
    """A device that never ends, or a file far too large, costs a megabyte at most."""
    path = tmp_path / "manifest.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ManifestError, match="larger than"):
        manifests.read(path)


def test_a_pipe_or_a_directory_is_no_manifest(tmp_path: Path) -> None:
    """Opening a named pipe would wait for a writer that never comes."""
    for name, make in (("pipe", os.mkfifo), ("directory", os.mkdir)):
        make(tmp_path / name)
        with pytest.raises(ManifestError, match="not a plain file"):
            manifests.read(tmp_path / name)
