"""A trained static encoder to the mapped files that the device reads (see `edge_runtime.encoders.static`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from build_tools.compile.rows import quantize_rows
from build_tools.distill.static import StaticStudent
from edge_runtime.encoder_spec import BIGRAMS, SCALES, TABLE


def compile_static(student: StaticStudent, directory: Path) -> None:
    """Writes the int8 form of `student` into `directory`: weights and head folded into the rows."""
    rows, scales = quantize_rows(student.folded())
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / TABLE, rows)
    np.save(directory / SCALES, scales[:, 0].copy())
    np.save(directory / BIGRAMS, student.keys.numpy())
