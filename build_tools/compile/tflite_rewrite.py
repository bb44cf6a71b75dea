"""Makes a quantized TFLite file right on old runtimes too.

tflite-runtime 2.14, the last of its name, reads fully connected layers with one weight scale an output, and
computes garbage without a word: it takes the first scale for all. So each such layer is spelt out, in
operators that mean the same everywhere: the product with a scale of 1, times the scales, plus the bias.

    FULLY_CONNECTED(x, w, scales, bias)  →  ADD(MUL(FULLY_CONNECTED(x, w), scales), bias)

Format: TensorFlow Lite's schema.fbs, as `ai_edge_litert` generates it for Python.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Of tensors' bytes, as schema.fbs asks; the generated packer does not know."""

PRODUCT_VERSION = 9
"""Of FULLY_CONNECTED: the first whose int8 inputs may be asymmetric with float outputs."""

_NONE = -1


def rewrite(data: bytes, *, output: str) -> bytes:
    """The same model with its quantized layers spelt out.

    Args:
        data: as the quantizer wrote it.
        output: what the only output of each signature will be called.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    _inline_buffers(model, data)
    scales: dict[int, _Scales] = {}
    for graph in model.subgraphs:
        graph.operators = [
            operator for old in graph.operators for operator in _spelt_out(old, graph, model, scales)
        ]
    for signature in model.signatureDefs:
        signature.outputs[0].name = output.encode()
    builder = _AlignedBuilder(len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@dataclass(frozen=True, slots=True)
class _Scales:
    """The weight scales of a layer: the buffer that holds them, and how many they are."""

    buffer: int
    width: int


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns every vector, and so the bytes of every tensor."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))


def _inline_buffers(model: Any, data: bytes) -> None:
    """The quantizer keeps tensors' bytes behind the flatbuffer; old runtimes look inside."""
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean none
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def _spelt_out(operator: Any, graph: Any, model: Any, scales: dict[int, _Scales]) -> Iterator[Any]:
    """`operator` itself, or the three that it becomes.

    Args:
        scales: those read already, by buffer of the weights: layers and graphs share both.
    """
    weights = _quantized_weights(operator, graph, model)
    if weights is None:
        yield operator
        return
    (target,) = operator.outputs
    inputs, bias = operator.inputs[:2], operator.inputs[2] if len(operator.inputs) > 2 else _NONE
    activation = operator.builtinOptions.fusedActivationFunction
    if weights.buffer not in scales:
        values = np.asarray(weights.quantization.scale, np.float32)
        scales[weights.buffer] = _Scales(_add_buffer(model, values), len(values))
    _forget_scales(weights)
    like, known = graph.tensors[target], scales[weights.buffer]
    factors = _add_tensor(graph, like, "scales", known.width, known.buffer)

    product = copy.copy(operator)
    product.opcodeIndex = _opcode(model, schema.BuiltinOperator.FULLY_CONNECTED, PRODUCT_VERSION)
    product.builtinOptions = copy.copy(operator.builtinOptions)
    product.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    product.builtinOptions.asymmetricQuantizeInputs = True
    product.inputs = [*inputs, _NONE]
    product.outputs = [_add_tensor(graph, like, "product")]
    yield product
    if bias == _NONE:
        yield _arithmetic(model, "MUL", [product.outputs[0], factors], target, activation)
        return
    scaled = _add_tensor(graph, like, "scaled")
    none = schema.ActivationFunctionType.NONE
    yield _arithmetic(model, "MUL", [product.outputs[0], factors], scaled, none)
    yield _arithmetic(model, "ADD", [scaled, bias], target, activation)


def _quantized_weights(operator: Any, graph: Any, model: Any) -> Any | None:
    """The int8 weights of a fully connected layer; None for any other operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED:
        return None
    weights = graph.tensors[operator.inputs[1]]
    return weights if weights.type == schema.TensorType.INT8 else None


def _forget_scales(weights: Any) -> None:
    """One scale of 1 for the whole tensor."""
    weights.quantization.scale = [1.0]
    weights.quantization.zeroPoint = [0]
    weights.quantization.quantizedDimension = 0


def _add_buffer(model: Any, values: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _add_tensor(graph: Any, like: Any, suffix: str, width: int | None = None, buffer: int = 0) -> int:
    """A float32 tensor: of the shape of `like`, or a vector of `width` constants."""
    tensor = schema.TensorT()
    tensor.shape = like.shape if width is None else [width]
    tensor.type = schema.TensorType.FLOAT32
    tensor.buffer = buffer
    tensor.name = like.name + b"/" + suffix.encode()
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _arithmetic(model: Any, kind: str, inputs: list[int], output: int, activation: int) -> Any:
    """A MUL or an ADD."""
    operator = schema.OperatorT()
    operator.opcodeIndex = _opcode(model, getattr(schema.BuiltinOperator, kind), 1)
    operator.inputs, operator.outputs = inputs, [output]
    options = schema.MulOptionsT() if kind == "MUL" else schema.AddOptionsT()
    options.fusedActivationFunction = activation
    operator.builtinOptions = options
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind.title()}Options")
    return operator


def _opcode(model: Any, builtin: int, version: int) -> int:
    """The number of an operator and version in the model's list, which grows where it is not in it."""
    for number, code in enumerate(model.operatorCodes):
        if code.version == version and max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
            return number
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
