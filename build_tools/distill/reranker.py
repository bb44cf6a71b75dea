"""Fine-tunes an encoder into a cross-encoder: of each list, the answer shall score above the others.

The loss is the cross-entropy of the answer among its list, the usual one for rerankers with mined
negatives ("localized contrastive estimation", arXiv 2101.08751). All that is random derives from the seed
and the step, so a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import ListNetLoss
from torch import Tensor

from build_tools.distill import checkpoint
from build_tools.distill.checkpoint import CHECKPOINT
from build_tools.distill.trainer import schedule
from build_tools.errors import BuildError, ModelError
from build_tools.models import quieten, reason
from build_tools.workspace import write_atomically

CURVE = "curve.jsonl"
LISTS = 8
"""Lists in an optimizer step."""

POINTS = 1
"""Points of the learning curve an epoch."""

CHECKPOINTS = 20
"""Checkpoints an epoch, that is, the share of it that a kill can lose."""

LEAST_TOKENS = 16
"""Fewer leave nothing of the passage."""

CERTAIN = 50.0
"""Label of the answer: the loss takes the softmax of the labels, and this makes it 1."""


@dataclass(frozen=True, slots=True)
class RerankerSpec:
    """How a cross-encoder is made.

    Attributes:
        base: `packaged`, a folder or a hub name.
        max_tokens: query and passage together are cut to this many word pieces.
        learning_rate: its peak (AdamW, warm-up, cosine decay).
    """

    base: str = "packaged"
    epochs: int = 3
    max_tokens: int = 192
    learning_rate: float = 1e-4
    train_embeddings: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lists:
    """Queries, each with as many passages, the first of which answers it."""

    queries: Sequence[str]
    passages: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class RerankerPoint:
    """One measurement of the learning curve.

    Attributes:
        loss: mean training loss since the last point.
        held_out_ndcg_10: nDCG@10 of reranking held-out queries.
        seconds: training time so far, over all runs.
    """

    step: int
    loss: float
    held_out_ndcg_10: float
    seconds: float


@dataclass(slots=True)
class _Run:
    """What a checkpoint holds besides weights and optimizer; `best` are the weights of the best point."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[RerankerPoint] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def untrained(spec: RerankerSpec, folder: str) -> CrossEncoder:
    """The encoder in `folder`, or of that hub name, with a new head for one score.

    Raises:
        ModelError: it cannot be loaded, or has not as many positions as ``spec.max_tokens``.
    """
    quieten()
    torch.manual_seed(spec.seed)
    try:
        model: CrossEncoder = CrossEncoder(folder, num_labels=1, max_length=spec.max_tokens, device="cpu")
    except Exception as error:  # every loader below raises its own kind: one error of ours serves them all
        raise ModelError(
            f"--base {spec.base}: cannot be loaded ({reason(error)}). Give `packaged`, a transformers folder "
            "or a hub name that this machine can reach."
        ) from None
    positions = getattr(getattr(model.model, "config", None), "max_position_embeddings", spec.max_tokens)
    if not LEAST_TOKENS <= spec.max_tokens <= positions:
        raise ModelError(
            f"--max-tokens {spec.max_tokens}: expected {LEAST_TOKENS} to {positions}, the positions of "
            f"{spec.base}"
        )
    if not spec.train_embeddings and model.model is not None:
        model.model.get_input_embeddings().requires_grad_(False)
    return model


def steps_of(lists: Lists, spec: RerankerSpec) -> int:
    """Optimizer steps of a whole training."""
    return spec.epochs * math.ceil(len(lists.queries) / LISTS)


def train(
    model: CrossEncoder,
    lists: Lists,
    *,
    spec: RerankerSpec,
    directory: Path,
    measure: Callable[[], float],
    report: Callable[[RerankerPoint], None],
    advance: Callable[[int], None],
) -> tuple[RerankerPoint, ...]:
    """Trains `model` in place, gives it the weights of its best point, and returns the learning curve.

    Progress is kept in `directory`: a second call after an interruption goes on from the last checkpoint.

    Args:
        measure: nDCG@10 on held-out queries of the model as it is.
        report: told each new point of the curve.
        advance: told how many more steps are done; first those of earlier runs.

    Raises:
        BuildError: the loss is no longer a number, or the checkpoint cannot be read.
    """
    optimizer = torch.optim.AdamW(_trained(model).values(), lr=spec.learning_rate, weight_decay=0.01)
    loss = ListNetLoss(model)
    run = _resume(directory, model, optimizer)
    total = steps_of(lists, spec)
    advance(run.step)
    for rows in _batches(len(lists.queries), spec, start=run.step):
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * schedule(run.step / total)
        run.losses.append(_step(model, loss, lists, rows, optimizer, (spec.seed, run.step)))
        run.step += 1
        run.seconds += time.monotonic() - started
        _require_finite(run)
        advance(1)
        if _due(run.step, POINTS * spec.epochs, total):
            report(_add_point(model, run, measure()))
            _save(directory, model, optimizer, run)
        elif _due(run.step, CHECKPOINTS * spec.epochs, total):
            _save(directory, model, optimizer, run)
    model.load_state_dict(model.state_dict() | run.best)
    model.eval()
    return tuple(run.curve)


def best(curve: Sequence[RerankerPoint]) -> RerankerPoint:
    """The point whose weights are kept: the first of the best."""
    return max(curve, key=lambda point: point.held_out_ndcg_10)


def write_curve(curve: Sequence[RerankerPoint], directory: Path) -> None:
    """Writes curve.jsonl."""
    lines = "".join(json.dumps(asdict(point)) + "\n" for point in curve).encode()
    write_atomically(directory / CURVE, lambda file: file.write(lines))


def _step(
    model: CrossEncoder,
    loss: ListNetLoss,
    lists: Lists,
    rows: NDArray[np.int64],
    optimizer: torch.optim.Optimizer,
    stream: tuple[int, int],
) -> float:
    """One optimizer step; lists pass one by one, so that memory stays that of one list."""
    torch.manual_seed(np.random.default_rng(stream).integers(1 << 62).item())  # dropout's
    model.train()
    optimizer.zero_grad()
    total = 0.0
    for row in rows.tolist():
        passages = list(lists.passages[row])
        labels = torch.tensor([CERTAIN] + [0.0] * (len(passages) - 1))
        value = loss([[lists.queries[row]], [passages]], [labels]) / len(rows)
        value.backward()
        total += value.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return total


def _batches(count: int, spec: RerankerSpec, *, start: int) -> Iterator[NDArray[np.int64]]:
    """The batches of all epochs from step `start` on."""
    per_epoch = math.ceil(count / LISTS)
    for step in range(start, spec.epochs * per_epoch):
        epoch, batch = divmod(step, per_epoch)
        order = np.random.default_rng((spec.seed, epoch)).permutation(count)
        yield order[batch * LISTS : (batch + 1) * LISTS]


def _due(step: int, times: int, total: int) -> bool:
    """Whether `step` completes one of `times` equal shares of `total` steps."""
    return times * step // total > times * (step - 1) // total


def _add_point(model: CrossEncoder, run: _Run, ndcg: float) -> RerankerPoint:
    point = RerankerPoint(run.step, sum(run.losses) / len(run.losses), ndcg, run.seconds)
    run.losses.clear()
    run.curve.append(point)
    if best(run.curve) is point:
        run.best = {name: tensor.detach().clone() for name, tensor in _trained(model).items()}
    return point


def _trained(model: CrossEncoder) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes; the word table, half of a small encoder, need not be kept."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _require_finite(run: _Run) -> None:
    if not math.isfinite(run.losses[-1]):
        raise BuildError(
            f"training: the loss is {run.losses[-1]} at step {run.step}; give a lower --learning-rate"
        )


def _save(directory: Path, model: CrossEncoder, optimizer: torch.optim.Optimizer, run: _Run) -> None:
    weights = {name: parameter.detach() for name, parameter in _trained(model).items()}
    checkpoint.write(directory, {"model": weights, "optimizer": optimizer.state_dict(), "run": asdict(run)})


def _resume(directory: Path, model: CrossEncoder, optimizer: torch.optim.Optimizer) -> _Run:
    path = directory / CHECKPOINT
    if not path.exists():
        return _Run()
    try:
        state = torch.load(path, weights_only=True)
        if state["model"].keys() != _trained(model).keys():
            raise ValueError("weights of another model")
        model.load_state_dict(model.state_dict() | state["model"])
        optimizer.load_state_dict(state["optimizer"])
        curve = [RerankerPoint(**point) for point in state["run"].pop("curve")]
        return _Run(**state["run"], curve=curve)
    except Exception as error:  # torch raises what its unpickler and its zip reader happen to
        raise BuildError(
            f"{path}: damaged ({type(error).__name__}); delete it and run again to train anew"
        ) from None
