"""Which layers of the base to keep, found out by short training runs of a few choices.

Every finished trial is recorded at once, so an interrupted probe goes on with the next choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from build_tools.errors import BuildError, ModelError
from build_tools.workspace import write_atomically

RECORD = "probe.json"
SHARE = 0.05
"""Of the steps of a full run: enough to tell choices apart, since they differ most at the start."""

LEAST_STEPS = 50

Layers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One short run.

    Attributes:
        layers: of the base, from 0.
        cosine: mean cosine to the teacher on held-out text after the run.
    """

    layers: Layers
    cosine: float


@dataclass(frozen=True, slots=True)
class Probed:
    """The outcome of a probe.

    Attributes:
        trials: every choice in the order tried.
    """

    trials: tuple[Trial, ...]

    @property
    def layers(self) -> Layers:
        """The choice that did best, the earlier one of equals."""
        return max(self.trials, key=lambda trial: trial.cosine).layers


def choices(total: int, keep: int) -> tuple[Layers, ...]:
    """Different ways of keeping `keep` of `total` layers, five at most.

    Evenly spaced with both ends; the first and the last ones; the first ones and the last; the first ones;
    the last ones.

    Raises:
        ModelError: there are not as many layers.
    """
    if not 1 <= keep <= total:
        raise ModelError(
            f"encoders.probe {keep}: the base encoder has {total} layers; give 1 to {total}, or name another "
            "encoders.base"
        )
    last = total - 1
    even = [round(number * last / max(1, keep - 1)) for number in range(keep)]
    candidates = (
        tuple(even),
        (0, *range(total - keep + 1, total)),
        (*range(keep - 1), last),
        tuple(range(keep)),
        tuple(range(total - keep, total)),
    )
    return tuple(dict.fromkeys(candidates))


def short_steps(steps: int) -> int:
    """Optimizer steps of a short run, for students that train for `steps`."""
    return max(LEAST_STEPS, round(SHARE * steps))


def probe(choices: tuple[Layers, ...], directory: Path, *, train_short: Callable[[Layers], float]) -> Probed:
    """Tries every choice that `directory` has no record of.

    Args:
        train_short: trains a student of these layers for a short run and returns its cosine to the teacher
            on held-out text.

    Raises:
        BuildError: the record is damaged, or a cosine is not a number.
    """
    path = directory / RECORD
    trials = {trial.layers: trial for trial in _read(path)}
    for layers in choices:
        if layers not in trials:
            trials[layers] = _try(layers, train_short)
            _write(path, trials.values())
    return Probed(tuple(trials[layers] for layers in choices))


def _try(layers: Layers, train_short: Callable[[Layers], float]) -> Trial:
    cosine = train_short(layers)
    if not math.isfinite(cosine):
        raise BuildError(
            f"encoders.probe: layers {list(layers)} end with a cosine of {cosine}; lower "
            "training.learning_rate"
        )
    return Trial(layers, cosine)


def _read(path: Path) -> list[Trial]:
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [Trial(tuple(entry["layers"]), float(entry["cosine"])) for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise BuildError(
            f"{path}: damaged ({type(error).__name__}); delete it and run again to probe the layers anew"
        ) from None


def _write(path: Path, trials: Iterable[Trial]) -> None:
    data = json.dumps([asdict(trial) for trial in trials]).encode()
    write_atomically(path, lambda file: file.write(data))
