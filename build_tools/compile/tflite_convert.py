"""A student to an int8 TFLite file as Google's converter and quantizer leave it. Run as a child process:

    python -m build_tools.compile.tflite_convert STUDENT.pt OUT.tflite SIGNATURE=LENGTH…

In a process of its own because the converter brings JAX with it, writes to standard output and error from
C++, and its crashes must not be the build's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from build_tools.compile.fixed_length import FixedLength
from build_tools.distill.student import Student, StudentShape
from edge_runtime.encoders.tflite import INPUTS


def main(arguments: list[str]) -> None:
    """Converts, quantizes and writes."""
    source, target = map(Path, arguments[:2])
    pairs = (text.partition("=") for text in arguments[2:])
    lengths = {signature: int(length) for signature, _, length in pairs}
    saved = torch.load(source, weights_only=True)
    student = Student(StudentShape(**saved["shape"]))
    student.load_state_dict(saved["weights"])
    plain = target.with_suffix(".float32")
    _convert(student.eval(), plain, lengths)
    _quantize(plain, target)
    plain.unlink()


def _convert(student: Student, path: Path, lengths: Mapping[str, int]) -> None:
    """The signatures, each for its length; their weights are stored once."""
    import litert_torch

    converter = litert_torch
    for signature, length in lengths.items():
        module: nn.Module = FixedLength(student, length).eval()
        # Two tensors: one that is given twice becomes one input, whatever their names.
        inputs = {name: torch.ones((1, length), dtype=torch.int32) for name in INPUTS}
        converter = converter.signature(signature, module, sample_kwargs=inputs)
    converter.convert().export(str(path))


def _quantize(source: Path, target: Path) -> None:
    """Matrices to int8, one scale an output; activations to int8 as they come."""
    from ai_edge_quantizer import qtyping, quantizer

    weights = qtyping.TensorQuantizationConfig(
        num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
    )
    made = quantizer.Quantizer(str(source))
    made.update_quantization_recipe(
        regex=".*",
        operation_name=qtyping.TFLOperationName.FULLY_CONNECTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.INTEGER
        ),
    )
    made.quantize().export_model(str(target), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1:])
