"""Tables of vectors as int8 rows with one scale each."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from build_tools.compile.rows import quantize_rows


@given(
    npst.arrays(
        np.float32,
        npst.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
@settings(deadline=None, max_examples=100)
def test_quantized_rows_are_within_half_a_step(table: NDArray[np.float32]) -> None:
    """Whatever the magnitude of a row, rows of zeros included."""
    rows, scales = quantize_rows(table)
    assert rows.dtype == np.int8
    assert scales.shape == (len(table), 1)
    assert (scales > 0).all()
    steps = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-37)
    assert (np.abs(rows * scales.astype(np.float64) - table) <= 0.5001 * steps).all()


def test_each_row_has_a_scale_of_its_own() -> None:
    """A large row takes nothing from a small one, and zeros stay zeros."""
    rows, scales = quantize_rows(np.array([[127.0, -63.5], [0.127, 0.0], [0.0, 0.0]], np.float32))
    assert rows.tolist() == [[127, -64], [127, 0], [0, 0]]
    np.testing.assert_allclose(scales[:, 0], [1, 0.001, 1])
