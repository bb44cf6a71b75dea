"""Matrices of an ONNX graph as 8-bit numbers, with a scale of its own for each block of each column.

A scale for 32 weights follows them more closely than one for a whole column, and ONNX Runtime's MatMulNBits
gives each block of the activations a scale too, so no outlier coarsens its neighbours. What that costs is
time: sums are rescaled every 32 products. Specification: ONNX Runtime, docs/ContribOperators.md, MatMulNBits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge_runtime.encoders.session import forbid_telemetry

BLOCK = 32
BITS = 8
DOMAIN = "com.microsoft"

_INT8_PRODUCTS = 4
"""Activations in 8 bits too; without it the operator multiplies in float32 wherever it may."""


def quantize_blocks(matrix: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Each column of `matrix`, (k, n), in blocks of `BLOCK` rows, the last filled up with zeros.

    Returns:
        uint8 (n, blocks, BLOCK) and float32 (n, blocks); a weight is (number - 128) * scale to within half a
        step.
    """
    rows, columns = matrix.shape
    filled = np.pad(matrix.T, ((0, 0), (0, -rows % BLOCK)))
    blocks = filled.reshape(columns, -1, BLOCK).astype(np.float32)
    scales = (np.abs(blocks).max(axis=2) / 127).astype(np.float32)
    scales[scales == 0] = 1
    numbers = np.clip(np.rint(blocks / scales[:, :, None]), -127, 127)
    return (numbers + 128).astype(np.uint8), scales


def quantize_matrices(model: ModelProto) -> None:
    """Turns every product with a constant matrix, MatMul or Gemm, into MatMulNBits, in place."""
    forbid_telemetry()
    from onnxruntime.quantization.onnx_model import ONNXModel

    ONNXModel(model).replace_gemm_with_matmul()
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    for position, node in enumerate(graph.node):
        if node.op_type == "MatMul" and node.input[1] in constants:
            replacement = _quantized(model, node, constants[node.input[1]])
            graph.node.remove(node)
            graph.node.insert(position, replacement)
    used = {name for node in graph.node for name in node.input}
    for name in constants.keys() - used:
        graph.initializer.remove(constants[name])


def _quantized(model: ModelProto, node: NodeProto, constant: TensorProto) -> NodeProto:
    """The node that takes the place of `node`; its numbers and scales join the graph."""
    matrix = numpy_helper.to_array(constant)
    numbers, scales = f"{constant.name}_blocks", f"{constant.name}_scales"
    if numbers not in {
        item.name for item in model.graph.initializer
    }:  # a matrix may be multiplied with twice
        blocks = quantize_blocks(matrix)
        model.graph.initializer.append(numpy_helper.from_array(blocks[0], numbers))
        model.graph.initializer.append(numpy_helper.from_array(blocks[1], scales))
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], numbers, scales],
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        K=matrix.shape[0],
        N=matrix.shape[1],
        bits=BITS,
        block_size=BLOCK,
        accuracy_level=_INT8_PRODUCTS,
    )
