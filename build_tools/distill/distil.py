"""One student, from the recipe's words to a trained module: cut, tokenize, train, keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from build_tools.distill.student import Student, StudentShape, cut
from build_tools.distill.trainer import CHECKPOINT, CurvePoint, Examples, train
from build_tools.errors import ModelError
from build_tools.recipe import StudentSpec, TrainingSpec
from build_tools.towers import Tower, reason
from build_tools.workspace import Stage, write_atomically
from edge_runtime.tokenizer import Tokenizer

WEIGHTS = "student.safetensors"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts and the teacher's unit vectors (n, ndim) for them."""

    texts: Sequence[str]
    targets: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Distilled:
    """A trained student in its stage's directory."""

    student: Student
    tokenizer: Path
    curve: tuple[CurvePoint, ...]


def distil(
    tower: Tower,
    student: StudentSpec,
    *,
    training: Lesson,
    held_out: Lesson,
    spec: TrainingSpec,
    stage: Stage,
    report: Callable[[CurvePoint], None],
    advance: Callable[[int], None],
) -> Distilled:
    """Trains one student, or goes on with one that an earlier run began.

    Raises:
        ModelError: the base encoder cannot be loaded or cut.
    """
    module, tokenizer = untrained(tower, student, seed=spec.seed)
    save_tokenizer(tokenizer, stage.directory / TOKENIZER)
    reader = Tokenizer.load(stage.directory / TOKENIZER, max_tokens=student.max_tokens)
    curve = train(
        module,
        Examples([reader.encode(text) for text in training.texts], training.targets),
        Examples([reader.encode(text) for text in held_out.texts], held_out.targets),
        spec=spec,
        directory=stage.directory,
        report=report,
        advance=advance,
    )
    write_atomically(stage.directory / WEIGHTS, lambda file: file.write(save(module.state_dict())))
    stage.finish({"shape": asdict(module.shape), "curve": [asdict(point) for point in curve]})
    (stage.directory / CHECKPOINT).unlink(missing_ok=True)  # three times the weights, and of no more use
    return Distilled(module.eval(), stage.directory / TOKENIZER, tuple(curve))


def untrained(tower: Tower, spec: StudentSpec, *, seed: int) -> tuple[Student, PreTrainedTokenizerBase]:
    """The student as it is before training, and its tokenizer.

    Raises:
        ModelError: the base encoder cannot be loaded or cut, or has too few positions.
    """
    model, tokenizer, pooling = _base(tower, spec.base)
    module = cut(model, spec.layers, tower.ndim, pooling, seed=seed)
    if spec.max_tokens > module.shape.positions:
        raise ModelError(
            f"encoders {spec.id}: max_tokens {spec.max_tokens}; the base encoder has "
            f"{module.shape.positions} positions"
        )
    return module, tokenizer


def load(stage: Stage) -> Distilled:
    """The student that a finished stage holds."""
    result = stage.result
    student = Student(StudentShape(**result["shape"]))
    student.load_state_dict(load_file(stage.directory / WEIGHTS))
    curve = tuple(CurvePoint(**point) for point in result["curve"])
    return Distilled(student.eval(), stage.directory / TOKENIZER, curve)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Writes tokenizer.json without the padding and truncation that the model's authors left in it.

    Raises:
        ModelError: there is no fast tokenizer behind it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{tokenizer.name_or_path}: has no fast tokenizer (tokenizer.json); use another base"
        )
    plain = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    path.write_text(json.dumps(plain, ensure_ascii=False, separators=(",", ":")), "utf-8")


def _base(tower: Tower, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Literal["mean", "cls"]]:
    if name == "teacher":
        return tower.encoder, tower.tokenizer, tower.pooling
    try:
        return AutoModel.from_pretrained(name), AutoTokenizer.from_pretrained(name), "mean"
    except Exception as error:  # every loader below raises its own kind
        raise ModelError(
            f"encoders.base {name}: cannot be loaded ({reason(error)}). Give `teacher`, a transformers "
            "folder, or a hub name that this machine can reach."
        ) from None
