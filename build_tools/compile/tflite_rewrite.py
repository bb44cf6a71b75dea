"""Makes a quantized TFLite file right on old runtimes too.

tflite-runtime 2.14, the last of its name, reads fully connected layers with one weight scale an output, and
computes garbage without a word: it takes the first scale for all. So each such layer is spelt out, in
operators that mean the same everywhere: the product with a scale of 1, times the scales, plus the bias.

    FULLY_CONNECTED(x, w, scales, bias)  →  ADD(MUL(FULLY_CONNECTED(x, w), scales), bias)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from build_tools.compile.tflite_model import (
    FLOAT32,
    add_buffer,
    add_tensor,
    kind_of,
    make_operator,
    opcode,
)

PRODUCT_VERSION = 9
"""Of FULLY_CONNECTED: the first whose int8 inputs may be asymmetric with float outputs."""

_NONE = -1


def spell_out(model: Any) -> None:
    """Spells out the quantized layers of `model`, a `schema.ModelT`, which is changed."""
    scales: dict[int, _Scales] = {}
    for graph in model.subgraphs:
        graph.operators = [
            operator for old in graph.operators for operator in _spelt_out(old, graph, model, scales)
        ]


@dataclass(frozen=True, slots=True)
class _Scales:
    """The weight scales of a layer: the buffer that holds them, and how many they are."""

    buffer: int
    width: int


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
        scales[weights.buffer] = _Scales(add_buffer(model, values), len(values))
    _forget_scales(weights)
    like, known = graph.tensors[target], scales[weights.buffer]
    factors = _like(graph, like, "scales", known.width, known.buffer)

    product = copy.copy(operator)
    product.opcodeIndex = opcode(model, schema.BuiltinOperator.FULLY_CONNECTED, PRODUCT_VERSION)
    product.builtinOptions = copy.copy(operator.builtinOptions)
    product.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    product.builtinOptions.asymmetricQuantizeInputs = True
    product.inputs = [*inputs, _NONE]
    product.outputs = [_like(graph, like, "product")]
    yield product
    if bias == _NONE:
        yield _arithmetic(model, "MUL", [product.outputs[0], factors], target, activation)
        return
    scaled = _like(graph, like, "scaled")
    none = schema.ActivationFunctionType.NONE
    yield _arithmetic(model, "MUL", [product.outputs[0], factors], scaled, none)
    yield _arithmetic(model, "ADD", [scaled, bias], target, activation)


def _quantized_weights(operator: Any, graph: Any, model: Any) -> Any | None:
    """The int8 weights of a fully connected layer; None for any other operator."""
    if kind_of(operator, model) != schema.BuiltinOperator.FULLY_CONNECTED:
        return None
    weights = graph.tensors[operator.inputs[1]]
    return weights if weights.type == schema.TensorType.INT8 else None


def _forget_scales(weights: Any) -> None:
    """One scale of 1 for the whole tensor."""
    weights.quantization.scale = [1.0]
    weights.quantization.zeroPoint = [0]
    weights.quantization.quantizedDimension = 0


def _like(graph: Any, like: Any, suffix: str, width: int | None = None, buffer: int = 0) -> int:
    """A float32 tensor: of the shape of `like`, or a vector of `width` constants."""
    shape = like.shape if width is None else [width]
    return add_tensor(graph, f"{like.name.decode()}/{suffix}", shape, FLOAT32, buffer)


def _arithmetic(model: Any, kind: str, inputs: list[int], output: int, activation: int) -> Any:
    """A MUL or an ADD."""
    options = schema.MulOptionsT() if kind == "MUL" else schema.AddOptionsT()
    options.fusedActivationFunction = activation
    return make_operator(model, kind, inputs, output, options)
