"""Makes a TFLite graph of one number of tokens take any number.

The converter writes that number into the constants of RESHAPE and SLICE, and adds as many rows of the
position table. TFLite can leave a dimension to the runtime (-1), and rows can be looked up: token i takes row
i, which is the sum of the mask before it. Then one graph, resized to each query, does what a graph for each
of several lengths would do, and the weights are packed for the processor once and not once a graph.

    ADD(words, table)  →  ADD(words, EMBEDDING_LOOKUP(RESHAPE(CUMSUM(mask)), table))

Operators of TensorFlow 2.5 and later; format as in `tflite_rewrite`.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from itertools import count
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from build_tools.compile.tflite_model import (
    INT32,
    add_buffer,
    add_tensor,
    constant,
    make_operator,
    name_of,
)
from build_tools.errors import BuildError

_ANY = -1


def stand_in_length(max_tokens: int, taken: Container[int]) -> int:
    """A number of tokens to convert for that stands for nothing else in the graph, not even `max_tokens`.

    Args:
        taken: sizes of the other dimensions.
    """
    return next(length for length in count(max_tokens + 1) if length not in taken)


def resize(model: Any, *, length: int, max_tokens: int, mask: str) -> None:
    """Makes the only graph of `model` take 1 to `max_tokens` tokens.

    Args:
        model: a `schema.ModelT` whose buffers are inside the flatbuffer; it is changed.
        length: the number of tokens that it was converted for; no other dimension has that size.
        max_tokens: rows of the position table to keep.
        mask: the input that has a 1 for each token, int32 (1, tokens).

    Raises:
        BuildError: the converter wrote the length where this function does not look.
    """
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    inputs = {found.name.decode(): found.tensorIndex for found in signature.inputs}
    places, made = _places(graph, model, inputs[mask])
    open_shapes = set(inputs.values())
    for operator in graph.operators:
        kind = name_of(operator, model)
        if kind == "RESHAPE":
            _free(operator, 1, graph, model, length)
        elif kind == "SLICE":
            _free(operator, 2, graph, model, length)
            open_shapes.update(operator.outputs)
        elif kind == "ADD" and (table := _position_table(operator, graph, model, length)) is not None:
            rows = _look_up(operator, table, graph, model, places=places, max_tokens=max_tokens)
            made.append(rows)
    graph.operators = [*made, *graph.operators]
    _forget_length(graph, model, length, open_shapes)


def _places(graph: Any, model: Any, mask: int) -> tuple[int, list[Any]]:
    """The tensor of each token's place, int32 (tokens,), and the operators that make it."""
    axis = add_tensor(graph, "places/axis", [], INT32, add_buffer(model, np.array([1], np.int32)))
    before = add_tensor(graph, "places/before", graph.tensors[mask].shape, INT32)
    summing = schema.CumsumOptionsT()
    summing.exclusive = True
    flat = add_tensor(graph, "places/flat", [1], INT32, add_buffer(model, np.array([_ANY], np.int32)))
    places = add_tensor(graph, "places", graph.tensors[mask].shape[1:], INT32)
    reshaping = schema.ReshapeOptionsT()
    reshaping.newShape = [_ANY]
    return places, [
        make_operator(model, "CUMSUM", [mask, axis], before, summing),
        make_operator(model, "RESHAPE", [before, flat], places, reshaping),
    ]


def _free(operator: Any, place: int, graph: Any, model: Any, length: int) -> None:
    """Leaves the dimension of `length` in an operator's constant input to the runtime."""
    old = operator.inputs[place]
    values = constant(old, graph, model, np.int32)
    if values is None or length not in values:
        return
    changed = np.where(values == length, _ANY, values).astype(np.int32)
    tensor = copy.copy(graph.tensors[old])  # another operator may use the constant as it is
    tensor.buffer = add_buffer(model, changed)
    graph.tensors.append(tensor)
    operator.inputs = [*operator.inputs[:place], len(graph.tensors) - 1, *operator.inputs[place + 1 :]]
    if isinstance(operator.builtinOptions, schema.ReshapeOptionsT):
        operator.builtinOptions.newShape = changed.tolist()


def _position_table(operator: Any, graph: Any, model: Any, length: int) -> int | None:
    """Which input of an ADD is a table of `length` rows; None where none is."""
    for place, number in enumerate(operator.inputs):
        shape = graph.tensors[number].shape
        rows = len(shape) == 2 and shape[0] == length
        if rows and constant(number, graph, model, np.float32) is not None:
            return place
    return None


def _look_up(operator: Any, place: int, graph: Any, model: Any, *, places: int, max_tokens: int) -> Any:
    """Puts rows of the table, by `places`, where an operator had the table; the operator that finds them."""
    number = operator.inputs[place]
    table, values = graph.tensors[number], constant(number, graph, model, np.float32)
    assert values is not None
    width = int(table.shape[1])
    rows = add_tensor(graph, "positions/rows", table.shape, table.type)
    kept: NDArray[np.float32] = values.reshape(-1, width)[:max_tokens]
    table.buffer, table.shape = add_buffer(model, kept), [max_tokens, width]
    operator.inputs = [rows if each == number else each for each in operator.inputs]
    return make_operator(model, "EMBEDDING_LOOKUP", [places, number], rows)


def _forget_length(graph: Any, model: Any, length: int, open_shapes: Container[int]) -> None:
    """Makes the dimension of `length` one until the inputs are resized.

    Args:
        open_shapes: tensors that say of themselves that it is open. The inputs, for those who read the file;
            and what SLICE gives, which would stay as it is otherwise. Not what SLICE takes: its output would
            be dynamic then, of a shape that is known no earlier than it is computed, and no delegate that
            wants to know shapes would take the graph.

    Raises:
        BuildError: a constant has such a dimension.
    """
    for number, tensor in enumerate(graph.tensors):
        shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
        if length not in shape:
            continue
        if constant(number, graph, model, np.uint8) is not None:
            raise BuildError(
                f"the TFLite converter wrote {length} tokens into {tensor.name.decode()}; "
                "set compile.lengths, or use the versions of litert-torch that pyproject.toml names"
            )
        if number in open_shapes:
            tensor.shapeSignature = [_ANY if size == length else size for size in shape]
        tensor.shape = [1 if size == length else size for size in shape]
