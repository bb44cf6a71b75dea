"""Whose an exception is that comes out of a library."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import onnxruntime
import pytest

import edge_runtime
from edge_runtime import manifest as manifests
from edge_runtime.encoders.onnx import OnnxEncoder
from edge_runtime.encoders.pairs import PairScorer
from edge_runtime.encoders.tflite import TfliteEncoder
from edge_runtime.errors import of_library


class TooSlowError(RuntimeError):
    """What a caller's signal handler raises."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [(RuntimeError(), True), (MemoryError(), True), (TooSlowError(), False), (TimeoutError(), False)],
)
def test_a_library_raises_what_python_has(error: Exception, expected: bool) -> None:
    """But for time running out, and no class of somebody else's."""
    assert of_library(error) is expected


def test_onnx_runtime_has_exceptions_of_its_own(tmp_path: Path) -> None:
    """In a module that is private."""
    (tmp_path / "m.onnx").write_bytes(b"garbage")
    with pytest.raises(Exception, match="INVALID_PROTOBUF") as caught:
        onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert type(caught.value) is not RuntimeError
    assert of_library(caught.value)


class Interrupted:
    """A session or an interpreter under which the caller's time runs out."""

    def get_inputs(self) -> list[object]:
        """None that is looked at."""
        return []

    def run(self, *_: object) -> object:
        """As ONNX Runtime's."""
        raise TooSlowError("too slow")

    get_signature_runner = run


def test_a_callers_timeout_comes_through_every_engine(two_engines: Path) -> None:
    """As what it is: no engine has failed."""
    spec = manifests.read(two_engines / manifests.FILENAME).encoder("layers2-tflite")
    with pytest.raises(TooSlowError):
        OnnxEncoder(Interrupted(), engine="onnxruntime", ndim=3).encode([1])
    with pytest.raises(TooSlowError):
        PairScorer(Interrupted(), engine="onnxruntime").score([1], [0])
    with pytest.raises(TooSlowError):
        TfliteEncoder(Interrupted(), spec, engine="ai-edge-litert").encode([1])


@pytest.mark.parametrize(
    ("module", "name", "encoder", "folder"),
    [
        ("onnxruntime", "InferenceSession", "layers2", "two_engines"),
        ("ai_edge_litert.interpreter", "Interpreter", "layers2-tflite", "two_engines"),
        ("edge_runtime.usearch_index", "viewed", "layers2", "two_engines"),
        ("faiss", "read_index", "auto", "product_coded"),
    ],
)
def test_a_callers_timeout_comes_through_opening(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    name: str,
    encoder: str,
    folder: str,
) -> None:
    """Of an encoder, and of an index of either kind: the files are not at fault."""
    bundle = request.getfixturevalue(folder)

    def interrupted(*_: object, **__: object) -> None:
        raise TooSlowError("too slow")

    monkeypatch.setattr(import_module(module), name, interrupted)
    with pytest.raises(TooSlowError):
        edge_runtime.open(bundle, encoder=encoder)
