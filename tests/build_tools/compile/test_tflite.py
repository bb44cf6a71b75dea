"""The compiled student on LiteRT, and what old runtimes need of the file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from build_tools.compile import tflite
from build_tools.compile.fixed_length import FixedLength
from build_tools.compile.tflite import compile_tflite
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import Student
from build_tools.errors import BuildError
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.tflite import TfliteEncoder

LENGTHS = (8, 24)
COUNTS = (1, 2, 7, 8, 9, 23, 24)


def spec(ndim: int = 32) -> EncoderSpec:
    return EncoderSpec("s", "tflite", "s.tflite", "t.json", ndim, 24, "", 2, {}, lengths=LENGTHS)


def tokens() -> list[list[int]]:
    """A query of each length that matters."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 80, count).tolist() for count in COUNTS]


def answers(path: Path, ndim: int = 32) -> NDArray[np.float32]:
    """What the device makes of `tokens`."""
    encoder = TfliteEncoder.load(path, spec(ndim))
    vectors = np.stack([encoder.encode(ids) for ids in tokens()])
    encoder.close()
    return vectors


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, small_student: Callable[..., Student]) -> Path:
    """The file that most tests look at."""
    path = tmp_path_factory.mktemp("tflite") / "encoder.tflite"
    compile_tflite(small_student(), path, LENGTHS)
    return path


@pytest.mark.parametrize(
    ("ndim", "pooling", "projected"), [(32, "mean", False), (32, "cls", False), (20, "mean", True)]
)
def test_a_fixed_length_is_the_same_student(
    small_student: Callable[..., Student], ndim: int, pooling: str, projected: bool
) -> None:
    """In float32, but for the word table's int8 rows, at every number of tokens up to it."""
    module = small_student(ndim, pooling, projected=projected)
    expected = encode_tokens(module, tokens())
    fixed = FixedLength(module, 24)
    for ids, vector in zip(tokens(), expected, strict=True):
        padded, mask = torch.zeros((1, 24), dtype=torch.int32), torch.zeros((1, 24), dtype=torch.int32)
        padded[0, : len(ids)], mask[0, : len(ids)] = torch.tensor(ids), 1
        with torch.no_grad():
            found = fixed(padded, mask)[0].numpy()
        assert float(found @ vector) > 0.9995


def test_it_agrees_with_pytorch(compiled: Path, small_student: Callable[..., Student]) -> None:
    """At every length, padded or not."""
    found = answers(compiled)
    assert (found * encode_tokens(small_student(), tokens())).sum(1).min() > 0.99
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_projection_is_compiled_too(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """With the first token's state, for once."""
    module = small_student(20, "cls", projected=True)
    compile_tflite(module, tmp_path / "encoder.tflite", LENGTHS)
    found = answers(tmp_path / "encoder.tflite", 20)
    assert (found * encode_tokens(module, tokens())).sum(1).min() > 0.99


def test_no_layer_has_a_scale_an_output(compiled: Path) -> None:
    """tflite-runtime 2.14 would compute garbage: 6 products a layer and signature, each with one scale."""
    model = schema.ModelT.InitFromPackedBuf(compiled.read_bytes(), 0)
    products = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            weights = graph.tensors[operator.inputs[1]]
            products += 1
            assert code.version == 9
            assert operator.builtinOptions.asymmetricQuantizeInputs
            assert weights.type == schema.TensorType.INT8
            assert list(weights.quantization.scale) == [1.0]
            assert operator.inputs[2] == -1
    assert products == 2 * 2 * 4


def test_lengths_share_their_weights(compiled: Path) -> None:
    """A second signature adds a graph, not a second encoder; and no bytes lie outside the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(compiled.read_bytes(), 0)
    weights = [
        {tensor.buffer for tensor in graph.tensors if tensor.type == schema.TensorType.INT8 and tensor.buffer}
        for graph in model.subgraphs
    ]
    filled = [{number for number in each if model.buffers[number].data is not None} for each in weights]
    assert filled[0] == filled[1]
    assert all(buffer.offset == buffer.size == 0 for buffer in model.buffers)


def test_tensors_are_aligned(compiled: Path) -> None:
    """To 16 bytes, as the schema asks."""
    data = compiled.read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    places = []
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            places.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert len(places) > 10
    assert {place % 16 for place in places} == {0}


def test_the_same_student_gives_the_same_bytes(
    tmp_path: Path, compiled: Path, small_student: Callable[..., Student]
) -> None:
    """And nothing of this machine is in them."""
    compile_tflite(small_student(), tmp_path / "elsewhere.tflite", LENGTHS)
    data = (tmp_path / "elsewhere.tflite").read_bytes()
    assert data == compiled.read_bytes()
    assert str(tmp_path).encode() not in data


def test_more_tokens_than_positions(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """Said before anything is converted."""
    with pytest.raises(BuildError, match=r"compile.lengths: 65 tokens, and the encoder reads 64 at most"):
        compile_tflite(small_student(), tmp_path / "e.tflite", (8, 65))


def test_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_student: Callable[..., Student]
) -> None:
    """What is missing, and what brings it."""
    monkeypatch.setattr(tflite, "TFLITE_PACKAGES", {"no_such_module": "no-such-package"})
    with pytest.raises(
        BuildError, match=r"tflite needs no-such-package; install: pip install 'edge-runtime\[build"
    ):
        compile_tflite(small_student(), tmp_path / "e.tflite", LENGTHS)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('first line\\n\\nlast line')", "status 1: first line / last line"),
        ("import os; os.kill(os.getpid(), 11)", "status -11: it said nothing"),
        ("pass", "status 0: it said nothing"),
    ],
)
def test_a_converter_that_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_student: Callable[..., Student],
    program: str,
    said: str,
) -> None:
    """With an error, a crash, or no file: one line, and none of ours is left behind."""
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!{sys.executable}\n{program}\n", "utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(BuildError, match=f"the TFLite converter stopped with {said}"):
        compile_tflite(small_student(), tmp_path / "e.tflite", LENGTHS)
    assert not (tmp_path / "e.tflite").exists()
