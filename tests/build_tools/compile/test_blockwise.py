"""Matrices in blocks: the numbers, the graph, and the agreement of the whole encoder with PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from build_tools.compile.blockwise import BLOCK, quantize_blocks, quantize_matrices
from build_tools.compile.onnx import INPUT, MODEL, OUTPUT, WEIGHTS, compile_onnx
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import Student

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 5))


@given(npst.arrays(np.float32, SHAPES, elements=st.floats(-4, 4, width=32)))
def test_numbers_and_scales_give_the_matrix_back(matrix: np.ndarray) -> None:
    """To within half a step of each block; what fills up the last block is zero."""
    numbers, scales = quantize_blocks(matrix)
    rows, columns = matrix.shape
    assert numbers.shape == (columns, -(-rows // BLOCK), BLOCK)
    assert scales.shape == numbers.shape[:2]
    values = ((numbers.astype(np.float32) - 128) * scales[:, :, None]).reshape(columns, -1)
    steps = np.repeat(scales, BLOCK, axis=1)
    assert (np.abs(values[:, :rows] - matrix.T) <= steps[:, :rows] * 0.5001).all()
    assert (values[:, rows:] == 0).all()


def test_only_constant_matrices_are_replaced() -> None:
    """A product of two computed matrices stays; a matrix that is used twice is stored once."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((40, 40)).astype(np.float32)
    steps = [("x", "w", "a"), ("a", "w", "b"), ("b", "x", "y")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", [left, right], [out]) for left, right, out in steps],
        "products",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [40, 40])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [40, 40])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    domains = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=domains, ir_version=8)
    quantize_matrices(model)
    assert [node.op_type for node in model.graph.node] == ["MatMulNBits", "MatMulNBits", "MatMul"]
    assert [item.name for item in model.graph.initializer] == ["w_blocks", "w_scales"]
    x = rng.standard_normal((40, 40)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    expected = x @ weights @ weights @ x
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize(("ndim", "pooling"), [(32, "mean"), (32, "cls"), (20, "mean")])
def test_it_agrees_with_pytorch(
    tmp_path: Path, small_student: Callable[..., Student], ndim: int, pooling: str
) -> None:
    """Closer than int8 comes; all matrices are in blocks, attention is fused."""
    module, path = small_student(ndim, pooling), tmp_path / "encoder"
    compile_onnx(module, path, precision="blockwise")
    kinds = Counter(node.op_type for node in onnx.load(str(path / MODEL)).graph.node)
    assert kinds["MatMulNBits"] == 2 * 6 + (ndim != 32)
    assert kinds["MultiHeadAttention"] == 2
    assert kinds["LayerNormalization"] == 5
    assert not kinds.keys() & {"MatMul", "Gemm", "Softmax", "Erf"}
    rng = np.random.default_rng(0)
    tokens = [rng.integers(0, 80, length).tolist() for length in (1, 2, 7, 33, 64)]
    session = onnxruntime.InferenceSession(str(path / MODEL), providers=["CPUExecutionProvider"])
    found = [session.run([OUTPUT], {INPUT: np.array([sequence], np.int64)})[0] for sequence in tokens]
    expected = encode_tokens(module, tokens)
    assert (np.concatenate(found) * expected).sum(axis=1).min() > 0.999


def test_the_same_student_gives_the_same_bytes(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """As in int8."""
    for name in ("one", "two"):
        compile_onnx(small_student(), tmp_path / name, precision="blockwise")
    for file in (MODEL, WEIGHTS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
