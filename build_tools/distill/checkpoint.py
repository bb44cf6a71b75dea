"""What a killed training run leaves behind, and a later one goes on from."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from build_tools.distill.curve import CurvePoint
from build_tools.distill.encoder import QueryEncoder
from build_tools.errors import BuildError
from build_tools.workspace import write_atomically

CHECKPOINT = "checkpoint.pt"

Weights = dict[str, Tensor]


@dataclass(slots=True)
class Run:
    """Where a run stands, the weights and the optimizer apart.

    Attributes:
        seconds: training time so far.
        loss_sum, loss_count: of the steps since the last point of the curve.
        curve: the points so far.
        best: the weights of the best of them.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    curve: list[CurvePoint] = field(default_factory=list)
    best: Weights = field(default_factory=dict)


def trained(student: QueryEncoder) -> Weights:
    """The student's tensors that training changes; frozen ones, half of a transformer, need not be kept."""
    frozen = {name for name, parameter in student.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in student.state_dict().items() if name not in frozen}


def restore(student: QueryEncoder, weights: Weights) -> None:
    """Gives the student the weights that `trained` once returned."""
    if weights.keys() != trained(student).keys():
        raise ValueError("weights of another student")
    student.load_state_dict(student.state_dict() | weights)


def save(directory: Path, student: QueryEncoder, optimizer: torch.optim.Optimizer, run: Run) -> None:
    """Writes the checkpoint, whole or not at all."""
    write(directory, {"student": trained(student), "optimizer": optimizer.state_dict(), "run": asdict(run)})


def write(directory: Path, state: dict[str, Any]) -> None:
    """Writes the tensors and plain values of `state`."""
    data = io.BytesIO()  # torch.save into a file turns a full disk into an error that does not say so
    torch.save(state, data)
    write_atomically(directory / CHECKPOINT, lambda file: file.write(data.getbuffer()))


def resume(directory: Path, student: QueryEncoder, optimizer: torch.optim.Optimizer) -> Run:
    """Brings student and optimizer to where the checkpoint has them; a fresh run where there is none.

    Raises:
        BuildError: the checkpoint cannot be read, or is another student's.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        return Run()
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        restore(student, state["student"])
        optimizer.load_state_dict(state["optimizer"])
        curve = [CurvePoint(**point) for point in state["run"].pop("curve")]
        return Run(**state["run"], curve=curve)
    except Exception as error:  # torch raises what its unpickler and its zip reader happen to
        raise BuildError(
            f"{path}: damaged ({type(error).__name__}); delete it and run again to train this student anew"
        ) from None
