"""A trained student to a fused 8-bit ONNX model, its weights in a file of their own.

Steps: export in float32 (pooling, projection and normalisation inside), fuse attention, layer norm and
gelu, quantize the matrices, and store the word table as int8 rows with one scale each. The matrices become
int8 with a scale a column and dynamic activations, or, for more precision, blocks (`blockwise`). ONNX Runtime
maps a file of weights, and copies those that the model holds itself: with three layers that costs 15 MB of
memory and doubles the time to load. What the result loses against PyTorch is measured by `parity`.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data, write_external_data_tensors
from torch import nn

from build_tools.compile.blockwise import quantize_matrices
from build_tools.compile.rows import quantize_rows
from build_tools.distill.student import Student, StudentShape
from build_tools.errors import BuildError
from build_tools.recipe_compile import Precision
from edge_runtime.encoders.session import forbid_telemetry

OPSET = 17
MODEL, WEIGHTS = "model.onnx", "weights.bin"
"""The files of a compiled encoder. The model has the name of the other in it."""

_INLINE_BYTES = 1024  # smaller ones, such as shapes and scales, stay in the model
INPUT, OUTPUT = "input_ids", "sentence_embedding"


def compile_onnx(student: Student, path: Path, *, precision: Precision = "int8") -> None:
    """Writes the 8-bit form of `student`, `MODEL` and `WEIGHTS`, into the new directory `path`.

    Input ``input_ids``, int64 (n, t), both axes dynamic; output ``sentence_embedding``, float32 (n, ndim), of
    unit length. There is no mask, for a device asks one query at a time: several must have the same length.

    Raises:
        BuildError: the exporter made a graph of another form.
    """
    compile_module(student, path, shape=student.shape, inputs=[INPUT], output=OUTPUT, precision=precision)


def compile_module(
    module: nn.Module,
    path: Path,
    *,
    shape: StudentShape,
    inputs: Sequence[str],
    output: str,
    precision: Precision = "int8",
) -> None:
    """`compile_onnx` for any module around a BERT encoder of this `shape`.

    Args:
        inputs: names of the module's arguments, int64 (n, t) each.
        output: name of its result, float32, its first axis n.

    Raises:
        BuildError: the exporter made a graph of another form.
    """
    with tempfile.TemporaryDirectory() as scratch:
        exported, fused, quantized = (Path(scratch) / f"{step}.onnx" for step in ("export", "fuse", "int8"))
        _export(module, exported, inputs, output)
        _fuse(exported, fused, shape, merge_projections=precision == "int8")
        if precision == "int8":
            _quantize(fused, quantized)
            model = onnx.load(str(quantized))
        else:
            model = onnx.load(str(fused))
            quantize_matrices(model)
    _store_word_table_as_int8(model, _word_table(model, shape))
    model.doc_string = ""
    onnx.checker.check_model(model)
    _save(model, path)


def _save(model: ModelProto, path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # of a run that was killed: onnx would write behind its weights
    path.mkdir()
    convert_model_to_external_data(model, location=WEIGHTS, size_threshold=_INLINE_BYTES)
    model = write_external_data_tensors(model, str(path))
    (path / MODEL).write_bytes(model.SerializeToString(deterministic=True))


def _export(module: nn.Module, path: Path, inputs: Sequence[str], output: str) -> None:
    example = torch.ones((2, 8), dtype=torch.int64)
    dynamic = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, but the only one that fuses
        torch.onnx.export(
            module.eval(),
            (example,) * len(inputs),
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={**dict.fromkeys(inputs, dynamic), output: {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _fuse(source: Path, target: Path, shape: StudentShape, *, merge_projections: bool) -> None:
    """`merge_projections` makes those of query, key and value a part of attention, which has an int8 form
    but none in blocks; left out of it, they are matrix products like the others.
    """
    forbid_telemetry()
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # it would swallow the word table, which gets its own int8 form
    # Slower than what they replace (see `encoders.session`), where the product adds the bias as well.
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
    options.enable_bias_gelu = False
    options.use_multi_head_attention = not merge_projections
    with _errors_only():
        optimized = optimize_model(
            str(source),
            model_type="bert",
            num_heads=shape.heads,
            hidden_size=shape.hidden,
            optimization_options=options,
            opt_level=0,
        )
        optimized.save_model_to_file(str(target))


def _quantize(source: Path, target: Path) -> None:
    forbid_telemetry()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _errors_only():  # "consider pre-processing": already fused
        quantize_dynamic(
            str(source),
            str(target),
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Attention"],
            # Fused graphs carry no inferred types; activations of computed matrices stay float32.
            extra_options={"DefaultTensorType": TensorProto.FLOAT, "MatMulConstBOnly": True},
        )


@contextmanager
def _errors_only() -> Iterator[None]:
    """ONNX Runtime's tools log to the root and to their own logger; both are as before afterwards."""
    loggers = [logging.getLogger(), logging.getLogger("onnxruntime.transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _word_table(model: ModelProto, table: StudentShape) -> str:
    """The name of the initializer that holds the word table."""
    shape = [table.vocabulary, table.hidden]
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] == "input_ids":
            for initializer in model.graph.initializer:
                if initializer.name == node.input[0] and list(initializer.dims) == shape:
                    return str(initializer.name)
    raise BuildError(
        f"torch {torch.__version__} exports no word table; install a torch that edge-runtime[build] allows"
    )


def _store_word_table_as_int8(model: ModelProto, name: str) -> None:
    """Replaces Gather(float32) by Cast(Gather(int8)) * Gather(row scale)."""
    graph = model.graph
    table = next(item for item in graph.initializer if item.name == name)
    rows, scales = quantize_rows(numpy_helper.to_array(table))
    graph.initializer.remove(table)
    graph.initializer.append(numpy_helper.from_array(rows, f"{name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
    position, gather = next((i, node) for i, node in enumerate(graph.node) if name in node.input)
    replacement = [
        helper.make_node("Gather", [f"{name}_int8", "input_ids"], ["word_rows"]),
        helper.make_node("Gather", [f"{name}_scale", "input_ids"], ["word_scales"]),
        helper.make_node("Cast", ["word_rows"], ["word_values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["word_values", "word_scales"], [gather.output[0]]),
    ]
    graph.node.remove(gather)
    for offset, node in enumerate(replacement):
        graph.node.insert(position + offset, node)
