"""Bundles whose hashes are right and whose content lies: someone edited a file and hashed it anew.

Every one is opened and asked in a process of its own, for a library may take the process down with it. It
must end in one error of ours.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import manifest as manifests
from tests.versions import list_anew

ASK = """
import sys
import edge_runtime
try:
    with edge_runtime.open(sys.argv[1]) as retriever:
        for mode in ("dense", "lexical", "hybrid"):
            retriever.search("yeast and dough", k=48, mode=mode)
except edge_runtime.Error as error:
    print(type(error).__name__, error)
else:
    print("answered")
"""

MODEL, WEIGHTS = "encoders/layers2/model.onnx", "encoders/layers2/weights.bin"

Fault = Callable[[Path], object]


def ask(bundle: Path) -> str:
    """What a fresh process makes of the bundle: the error's class and text, or "answered"."""
    command = [sys.executable, "-W", "error", "-c", ASK, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hashing_anew_is_enough_for_an_honest_bundle(bundle_copy: Path) -> None:
    """So that the refusals below are for their own reasons."""
    list_anew(bundle_copy)
    assert ask(bundle_copy) == "answered\n"


def _index(
    *, ndim: int = 32, count: int = 96, dtype: str = "i8", metric: str = "cos", first: int = 0
) -> Fault:
    def write(bundle: Path) -> None:
        import onnxruntime  # noqa: F401 (before usearch, see pyproject.toml)
        from usearch.index import Index

        index = Index(ndim=ndim, dtype=dtype, metric=metric)
        vectors = np.random.default_rng(0).integers(-99, 99, (count, ndim))
        index.add(np.arange(first, first + count), vectors.astype(np.int8 if dtype == "i8" else np.float32))
        index.save(str(bundle / "dense.usearch"))

    return write


def _write(name: str, content: bytes) -> Fault:
    return lambda bundle: (bundle / name).write_bytes(content)


def _cut(name: str, size: int) -> Fault:
    return lambda bundle: (bundle / name).write_bytes((bundle / name).read_bytes()[:size])


def _sql(statement: str) -> Fault:
    def run(bundle: Path) -> None:
        with closing(sqlite3.connect(bundle / "documents.sqlite")) as connection, connection:
            connection.execute(statement)

    return run


def _npy(name: str, change: Callable[[Any], Any]) -> Fault:
    return lambda bundle: np.save(bundle / name, change(np.load(bundle / name)))


def _tokenizer(**changes: Any) -> Fault:
    def change(bundle: Path) -> None:
        path = bundle / "tokenizer.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return change


def _other_words(bundle: Path) -> None:
    """A vocabulary with ids beyond those that the encoder has vectors for."""
    path = bundle / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {word: number + (number > 4) * 100_000 for word, number in vocabulary.items()}
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (_index(ndim=31), "CompatibilityError .*holds 96 vectors of 31 dimensions"),
        (_index(ndim=64), "CompatibilityError .*holds 96 vectors of 64 dimensions"),
        (_index(count=95), "CompatibilityError .*holds 95 vectors"),
        (_index(count=97), "CompatibilityError .*holds 97 vectors"),
        (_index(dtype="f32"), "CompatibilityError .*f32, cos; the manifest says"),
        (_index(dtype="f16"), "CompatibilityError .*f16, cos; the manifest says"),
        (_index(metric="l2sq"), "CompatibilityError .*l2sq; the manifest says"),
        (_index(first=1), "BundleError .*dense.usearch: has a key beyond 96 rows"),
        (_write("dense.usearch", b""), "CompatibilityError .*usearch cannot view it"),
        (_write("dense.usearch", b"\xff" * 20_000), "CompatibilityError .*usearch cannot view it"),
        (_write("dense.usearch", bytes(20_000)), "CompatibilityError .*usearch cannot view it"),
        (_cut("dense.usearch", 5_000), "CompatibilityError .*usearch cannot view it"),
        (_write("tokenizer.json", b'{"a": 1}'), "BundleError .*tokenizer.json: tokenizers .* cannot use it"),
        (_tokenizer(model=None), "BundleError .*tokenizer.json: tokenizers .* cannot use it"),
        (_other_words, "EngineError onnxruntime .* failed on [0-9]+ tokens"),
        (_write(MODEL, b"garbage"), "EngineError .*model.onnx: onnxruntime .* refuses"),
        (_write(MODEL, b""), "EngineError .*model.onnx: onnxruntime .* refuses"),
        (_cut(MODEL, 3_000), "EngineError .*model.onnx: onnxruntime .* refuses"),
        (_write(WEIGHTS, b""), "EngineError .*model.onnx: onnxruntime .* refuses"),
        (_cut(WEIGHTS, 9_000), "EngineError .*model.onnx: onnxruntime .* refuses"),
        (_write("documents.sqlite", b"not a database" * 999), "BundleError .*SQLite cannot read it"),
        (_write("documents.sqlite", b""), "BundleError .*SQLite cannot read it"),
        (_cut("documents.sqlite", 9_000), "BundleError .*documents.sqlite: "),
        (_sql("DROP TABLE documents"), "BundleError .*SQLite cannot read it"),
        (_sql("DROP TABLE passages"), "BundleError .*SQLite cannot read it"),
        (_sql("DELETE FROM passages WHERE row = 95"), "BundleError .*passages 0 to 94; expected 0 to 95"),
        (_sql("DELETE FROM passages WHERE row BETWEEN 1 AND 94"), "BundleError .*has no passage"),
        (_sql("UPDATE documents SET metadata = '{'"), "BundleError .*documents.sqlite: "),
        (
            _npy("documents.npy", lambda owners: owners.astype(np.int64)),
            "BundleError .*documents.npy: holds int64",
        ),
        (_npy("documents.npy", lambda owners: owners + 1), "BundleError .*documents.npy: names a document"),
        (_npy("documents.npy", lambda owners: owners - 1), "BundleError .*documents.npy: names a document"),
        (
            _npy("documents.npy", lambda owners: owners[:-1]),
            r"BundleError .*documents.npy: holds int32 \(95,\)",
        ),
        (_write("documents.npy", b"\x93NUMPY"), "BundleError .*documents.npy: not an .npy file"),
        (
            _npy("lexical/postings.rows.npy", lambda rows: rows + 96),
            "BundleError .*postings.rows.npy: names a passage",
        ),
        (_npy("lexical/postings.scores.npy", lambda scores: scores[1:]), "BundleError .*lexical"),
        (_write("lexical/terms.bin", b""), "BundleError .*lexical"),
    ],
)
def test_a_lie_is_one_error(bundle_copy: Path, fault: Fault, answer: str) -> None:
    """Of the right class, naming the file; no traceback, no warning, no crash."""
    fault(bundle_copy)
    list_anew(bundle_copy)
    found = ask(bundle_copy)
    assert re.match(answer, found), found
    assert len(found.splitlines()) == 1


def test_a_manifest_that_lies_about_the_encoder_is_refused(bundle_copy: Path) -> None:
    """Width in the manifest and width of the model must agree."""
    manifest = manifests.read(bundle_copy / manifests.FILENAME)
    encoders = (replace(manifest.encoders[0], ndim=16),)
    list_anew(bundle_copy, encoders=encoders, index=replace(manifest.index, ndim=16))
    assert "sentence_embedding has shape ['batch', 32]; expected (n, 16)" in ask(bundle_copy)


def test_a_bundle_for_a_newer_runtime_is_refused(bundle_copy: Path) -> None:
    """Before anything else of it is looked at."""
    list_anew(bundle_copy, compatible=manifests.Compatible("99.0.0"))
    (bundle_copy / "dense.usearch").unlink()
    answer = ask(bundle_copy)
    assert answer.startswith("CompatibilityError ")
    assert "made for edge-runtime 99.0.0 or newer" in answer
    assert "update edge-runtime" in answer
