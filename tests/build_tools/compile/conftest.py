"""Small students for the compilers, with weights as a trained encoder has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch

from build_tools.distill.student import Student, StudentShape


@pytest.fixture(scope="session")
def small_student() -> Callable[..., Student]:
    """Makes them: `_student`."""
    return _student


def _student(
    ndim: int = 32, pooling: Literal["mean", "cls"] = "mean", *, layers: int = 2, every_layer: bool = False
) -> Student:
    """Narrow, with weights larger than at the start of training."""
    torch.manual_seed(5)
    module = Student(
        StudentShape(
            vocabulary=80,
            positions=64,
            hidden=32,
            intermediate=64,
            heads=4,
            layers=layers,
            ndim=ndim,
            epsilon=1e-12,
            pooling=pooling,
            every_layer=every_layer,
        )
    )
    return module.eval()
