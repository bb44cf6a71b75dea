"""A trained student to one int8 TFLite file that LiteRT and tflite-runtime 2.14 both read, and read alike.

Steps: write the student for a number of tokens (`fixed_length`), convert and quantize it in a child process
(`tflite_convert`), spell out what old runtimes would get wrong (`tflite_rewrite`), and free it of that number
(`tflite_resize`); or write it for each of a few numbers, and leave them fixed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from build_tools.compile import TFLITE_PACKAGES
from build_tools.distill.student import Student
from build_tools.errors import BuildError
from edge_runtime.encoder_spec import signature
from edge_runtime.encoders.tflite import INPUTS, OUTPUT

_SHOWN_LINES = 3


def check_installed() -> None:
    """Whether students can be compiled to TFLite at all: to fail now rather than in an hour.

    Raises:
        BuildError: a package is missing.
    """
    missing = [
        package for module, package in TFLITE_PACKAGES.items() if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise BuildError(
            f"compile.engines: tflite needs {', '.join(missing)}; "
            "install: pip install 'edge-runtime[build-tflite]'"
        )


def compile_tflite(student: Student, path: Path, *, max_tokens: int, lengths: Sequence[int] = ()) -> None:
    """Writes the int8 form of `student` to `path`.

    A signature ``tokens``: inputs ``input_ids`` and ``attention_mask``, int32 (1, n) of any n from 1 to
    `max_tokens`; output ``sentence_embedding``, float32 (1, ndim), of unit length. With `lengths`, a
    signature ``tokens_N`` for each length N instead.

    Raises:
        BuildError: more tokens than the student has positions, a package is missing, or the converter failed.
    """
    check_installed()
    most, field = (max(lengths), "compile.lengths") if lengths else (max_tokens, "max_tokens")
    if most > student.shape.positions:
        raise BuildError(f"{field}: {most} tokens, and the encoder reads {student.shape.positions} at most")
    # Generated from the schema, and one of the packages: only here is it sure to be there.
    from build_tools.compile import tflite_model, tflite_resize, tflite_rewrite

    stand_in = tflite_resize.stand_in_length(max_tokens, _sizes(student))
    signatures = {signature(length): length for length in lengths} or {signature(): stand_in}
    with tempfile.TemporaryDirectory() as scratch:
        saved, converted = Path(scratch) / "student.pt", Path(scratch) / "encoder.tflite"
        torch.save({"shape": asdict(student.shape), "weights": student.state_dict()}, saved)
        _convert(saved, converted, signatures)
        model = tflite_model.read(converted.read_bytes())
    tflite_rewrite.spell_out(model)
    for each in model.signatureDefs:
        each.outputs[0].name = OUTPUT.encode()
    if not lengths:
        tflite_resize.resize(model, length=stand_in, max_tokens=max_tokens, mask=INPUTS[0])
    path.write_bytes(tflite_model.write(model))


def _sizes(student: Student) -> set[int]:
    """Of all dimensions in the student's graph but the number of tokens."""
    sizes = {size for weights in student.state_dict().values() for size in weights.shape}
    heads = student.shape.heads
    mixed = {3 * size for size in sizes}  # query, key and value together
    return {1, heads, student.shape.hidden // heads, *sizes, *mixed}


def _convert(saved: Path, converted: Path, signatures: Mapping[str, int]) -> None:
    """Runs `tflite_convert`, whose words are shown only where it fails."""
    module = "build_tools.compile.tflite_convert"
    wanted = [f"{name}={length}" for name, length in signatures.items()]
    command = [sys.executable, "-W", "ignore", "-m", module, str(saved), str(converted), *wanted]
    # Where this package was imported from, installed or not.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode or not converted.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()][-_SHOWN_LINES:]
        said = " / ".join(lines) or "it said nothing"
        raise BuildError(f"the TFLite converter stopped with status {done.returncode}: {said}")
