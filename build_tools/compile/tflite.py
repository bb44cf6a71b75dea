"""A trained student to one int8 TFLite file that LiteRT and tflite-runtime 2.14 both read, and read alike.

Steps: write the student for each of a few fixed lengths (`fixed_length`), convert and quantize it in a child
process (`tflite_convert`), and spell out what old runtimes would get wrong (`tflite_rewrite`).
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from build_tools.compile import TFLITE_PACKAGES
from build_tools.distill.student import Student
from build_tools.errors import BuildError
from edge_runtime.encoders.tflite import OUTPUT

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


def compile_tflite(student: Student, path: Path, lengths: Sequence[int]) -> None:
    """Writes the int8 form of `student` to `path`.

    A signature ``tokens_N`` for each length N: inputs ``input_ids`` and ``attention_mask``, int32 (1, N);
    output ``sentence_embedding``, float32 (1, ndim), of unit length.

    Raises:
        BuildError: a length is beyond the student's positions, a package is missing, or the converter failed.
    """
    check_installed()
    if max(lengths) > student.shape.positions:
        raise BuildError(
            f"compile.lengths: {max(lengths)} tokens, and the encoder reads {student.shape.positions} at most"
        )
    # Generated from the schema, and one of the packages: only here is it sure to be there.
    from build_tools.compile.tflite_rewrite import rewrite

    with tempfile.TemporaryDirectory() as scratch:
        saved, converted = Path(scratch) / "student.pt", Path(scratch) / "encoder.tflite"
        torch.save({"shape": asdict(student.shape), "weights": student.state_dict()}, saved)
        _convert(saved, converted, lengths)
        path.write_bytes(rewrite(converted.read_bytes(), output=OUTPUT))


def _convert(saved: Path, converted: Path, lengths: Sequence[int]) -> None:
    """Runs `tflite_convert`, whose words are shown only where it fails."""
    module = "build_tools.compile.tflite_convert"
    command = [sys.executable, "-W", "ignore", "-m", module, str(saved), str(converted), *map(str, lengths)]
    # Where this package was imported from, installed or not.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode or not converted.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()][-_SHOWN_LINES:]
        said = " / ".join(lines) or "it said nothing"
        raise BuildError(f"the TFLite converter stopped with status {done.returncode}: {said}")
