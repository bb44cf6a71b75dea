"""Reading and extending a TFLite model as an object tree: what `tflite_rewrite` and `tflite_resize` share.

Format: TensorFlow Lite's schema.fbs, as `ai_edge_litert` generates it for Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import DTypeLike, NDArray

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Of tensors' bytes, as schema.fbs asks; the generated packer does not know."""

FLOAT32, INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT32

_DEPRECATED = 127
"""Operators of a higher number have this one in the field that old readers know, which is a byte."""

_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns every vector, and so the bytes of every tensor."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))


def read(data: bytes) -> Any:
    """The model in `data`, a `schema.ModelT`, with the bytes of all tensors inside.

    The quantizer keeps them behind the flatbuffer; old runtimes look inside.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean none
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return model


def write(model: Any) -> bytes:
    """The bytes of `model`."""
    builder = _AlignedBuilder(0)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def kind_of(operator: Any, model: Any) -> int:
    """An operator's number in `schema.BuiltinOperator`."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def name_of(operator: Any, model: Any) -> str:
    """An operator's name in `schema.BuiltinOperator`."""
    return str(_NAMES[kind_of(operator, model)])


def constant(number: int, graph: Any, model: Any, dtype: DTypeLike) -> NDArray[Any] | None:
    """The values of a tensor, flat; None where they are computed, or the tensor is left out (-1)."""
    if number < 0:
        return None
    data = model.buffers[graph.tensors[number].buffer].data
    return None if data is None or not len(data) else np.asarray(data, np.uint8).view(dtype)


def add_buffer(model: Any, values: NDArray[Any]) -> int:
    """The number of a new buffer with the bytes of `values`."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(graph: Any, name: str, shape: Sequence[int], kind: int, buffer: int = 0) -> int:
    """The number of a new tensor; one that is computed unless it has a `buffer`."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def make_operator(
    model: Any, kind: str, inputs: Sequence[int], output: int, options: Any = None, *, version: int = 1
) -> Any:
    """An operator of one output; `options` as the schema has them for its kind."""
    operator = schema.OperatorT()
    operator.opcodeIndex = opcode(model, getattr(schema.BuiltinOperator, kind), version)
    operator.inputs, operator.outputs = list(inputs), [output]
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    return operator


def opcode(model: Any, builtin: int, version: int) -> int:
    """The number of an operator and version in the model's list, which grows where it is not in it."""
    for number, code in enumerate(model.operatorCodes):
        if code.version == version and max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
            return number
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, _DEPRECATED)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
