"""The compiled student: its graph, its bytes, and its agreement with PyTorch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from build_tools.compile.onnx import INPUT, MODEL, OUTPUT, WEIGHTS, compile_onnx
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import Student
from edge_runtime.encoders.session import open_session

LENGTHS = (1, 2, 3, 7, 16, 33, 64)


def answers(path: Path, tokens: list[list[int]]) -> NDArray[np.float32]:
    """Unit vectors of sequences of one length, by ONNX Runtime as a device runs it."""
    session, _ = open_session(path, "the student")
    vectors: NDArray[np.float32] = session.run([OUTPUT], {INPUT: np.array(tokens, np.int64)})[0]
    return vectors


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, small_student: Callable[..., Student]) -> Path:
    """The model that most tests look at, its weights beside it."""
    path = tmp_path_factory.mktemp("onnx") / "encoder"
    compile_onnx(small_student(), path)
    return path / MODEL


def test_the_graph_is_fused_and_quantized(compiled: Path) -> None:
    """One attention a layer, and no plain matrix product, softmax or erf is left.

    Biases are added by the products, and sums are not part of the normalisation, which would be slower.
    """
    graph = onnx.load(str(compiled)).graph
    kinds = Counter(node.op_type for node in graph.node)
    assert kinds["QAttention"] == 2
    assert kinds["LayerNormalization"] == 5
    assert kinds["Gelu"] == 2
    assert kinds["MatMulInteger"] + kinds["DynamicQuantizeMatMul"] == 6
    plain = {"MatMul", "Gemm", "Softmax", "Erf", "Attention"}
    assert not kinds.keys() & {*plain, "SkipLayerNormalization", "BiasGelu"}


def test_a_graph_that_reads_every_layer_is_fused_and_quantized_too(
    tmp_path: Path, small_student: Callable[..., Student]
) -> None:
    """That a layer's output has one more reader keeps nothing from being fused."""
    compile_onnx(small_student(20, every_layer=True), tmp_path / "encoder")
    kinds = Counter(node.op_type for node in onnx.load(str(tmp_path / "encoder" / MODEL)).graph.node)
    assert (kinds["QAttention"], kinds["LayerNormalization"], kinds["Gelu"]) == (2, 5, 2)
    assert kinds["MatMulInteger"] + kinds["DynamicQuantizeMatMul"] == 6 + 1
    assert not kinds.keys() & {"MatMul", "Gemm", "Softmax", "Erf", "Attention"}


def test_the_word_table_is_int8(compiled: Path) -> None:
    """No float32 copy of it stays behind."""
    shapes = {tuple(item.dims): item.data_type for item in onnx.load(str(compiled)).graph.initializer}
    assert shapes[(80, 32)] == onnx.TensorProto.INT8
    assert shapes[(80, 1)] == onnx.TensorProto.FLOAT


def test_the_weights_are_in_their_own_file(compiled: Path) -> None:
    """All that are worth mapping, once each; the model alone is a graph."""
    graph = onnx.load(str(compiled), load_external_data=False).graph
    outside = {item.name: item.external_data for item in graph.initializer if item.external_data}
    names = {entry.value for entries in outside.values() for entry in entries if entry.key == "location"}
    assert names == {WEIGHTS}
    assert all(len(item.raw_data) < 1024 for item in graph.initializer)
    whole = {item.name: item.raw_data for item in onnx.load(str(compiled)).graph.initializer}
    assert (compiled.parent / WEIGHTS).stat().st_size == sum(len(whole[name]) for name in outside)
    assert sorted(file.name for file in compiled.parent.iterdir()) == [MODEL, WEIGHTS]


def test_inputs_and_output(compiled: Path) -> None:
    """The names and types that the runtime relies on."""
    session = onnxruntime.InferenceSession(str(compiled), providers=["CPUExecutionProvider"])
    assert [(item.name, item.type) for item in session.get_inputs()] == [(INPUT, "tensor(int64)")]
    assert [(item.name, item.type) for item in session.get_outputs()] == [(OUTPUT, "tensor(float)")]


@pytest.mark.parametrize(
    ("ndim", "pooling", "every_layer"),
    [(32, "mean", False), (32, "cls", False), (20, "mean", False), (20, "mean", True), (20, "cls", True)],
)
def test_it_agrees_with_pytorch(
    tmp_path: Path, small_student: Callable[..., Student], ndim: int, pooling: str, every_layer: bool
) -> None:
    """At every length, alone and with another, with either pooling, a projection of one layer and of all."""
    module, path = small_student(ndim, pooling, every_layer=every_layer), tmp_path / "encoder" / MODEL
    compile_onnx(module, path.parent)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(0, 80, length).tolist() for length in LENGTHS]
    expected = encode_tokens(module, tokens)
    alone = np.concatenate([answers(path, [sequence]) for sequence in tokens])
    assert (alone * expected).sum(1).min() > 0.99
    pair = answers(path, [tokens[4], tokens[4][::-1]])
    assert (pair[0] @ expected[4]) > 0.99
    assert np.linalg.norm(alone, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_same_student_gives_the_same_bytes(
    tmp_path: Path, compiled: Path, small_student: Callable[..., Student]
) -> None:
    """And nothing of this machine is in them."""
    compile_onnx(small_student(), tmp_path / "elsewhere")
    data = (tmp_path / "elsewhere" / MODEL).read_bytes()
    assert data == compiled.read_bytes()
    assert (tmp_path / "elsewhere" / WEIGHTS).read_bytes() == (compiled.parent / WEIGHTS).read_bytes()
    assert b".py" not in data
    assert str(tmp_path).encode() not in data


def test_what_a_killed_run_left_is_replaced(
    tmp_path: Path, compiled: Path, small_student: Callable[..., Student]
) -> None:
    """Nothing is written behind it."""
    left = tmp_path / "encoder"
    left.mkdir()
    (left / WEIGHTS).write_bytes(b"half")
    compile_onnx(small_student(), left)
    assert (left / WEIGHTS).read_bytes() == (compiled.parent / WEIGHTS).read_bytes()


def test_logging_is_left_as_it_was(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """The program that builds keeps its own log levels."""
    before = logging.getLogger().level
    compile_onnx(small_student(), tmp_path / "encoder")
    assert logging.getLogger().level == before
