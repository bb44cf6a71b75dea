"""Training of a cross-encoder: it learns, resumes exactly, keeps its best point, and fails clearly."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from build_tools.distill import reranker
from build_tools.distill.checkpoint import CHECKPOINT
from build_tools.distill.cross_encoder import Scorer
from build_tools.distill.reranker import (
    Lists,
    RerankerPoint,
    RerankerSpec,
    steps_of,
    train,
    untrained,
)
from build_tools.errors import BuildError, ModelError

SPEC = RerankerSpec(base="tiny", epochs=2, max_tokens=24, learning_rate=3e-3, train_embeddings=True, seed=4)
TOPICS = ("bicycle wheel", "garden soil", "sail wind", "signal antenna")


def lists(number: int = 20) -> Lists:
    """Whatever is asked, the answer is about bread."""
    rng = np.random.default_rng(0)
    queries, passages = [], []
    for _ in range(number):
        first, second, asked = rng.permutation(TOPICS).tolist()[:3]
        queries.append(asked)
        passages.append(["bread flour", first, second])
    return Lists(queries, passages)


def nothing(_: object) -> None:
    """Reports to nobody."""


def rising() -> Callable[[], float]:
    """Each point of the curve is better than the one before."""
    numbers = count(1)
    return lambda: next(numbers) / 100


def run(
    model: CrossEncoder,
    directory: Path,
    *,
    spec: RerankerSpec = SPEC,
    measure: Callable[[], float] | None = None,
    advance: Callable[[int], None] = nothing,
    report: Callable[[RerankerPoint], None] = nothing,
) -> tuple[RerankerPoint, ...]:
    """Trains on the lists above."""
    return train(
        model,
        lists(),
        spec=spec,
        directory=directory,
        measure=measure or rising(),
        report=report,
        advance=advance,
    )


@pytest.fixture
def model(teacher_folder: Path) -> CrossEncoder:
    """An untrained one."""
    return untrained(SPEC, str(teacher_folder))


def same(left: CrossEncoder, right: CrossEncoder) -> bool:
    """Whether all weights are equal to the bit."""
    other = right.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in left.state_dict().items())


def test_it_learns(model: CrossEncoder, tmp_path: Path) -> None:
    """Afterwards answers score above the others."""
    curve = run(model, tmp_path, spec=dataclasses.replace(SPEC, epochs=5))
    made = lists()
    pairs = [
        (query, text) for query, texts in zip(made.queries, made.passages, strict=True) for text in texts
    ]
    scores = Scorer(model, "tiny", "", batch_size=8).score(pairs).reshape(20, 3)
    assert (scores.argmax(axis=1) == 0).mean() > 0.7
    assert curve[-1].loss < 0.8 * curve[0].loss


def test_the_curve(model: CrossEncoder, tmp_path: Path) -> None:
    """A point an epoch, told and returned; steps are counted."""
    told: list[RerankerPoint] = []
    steps: list[int] = []
    curve = run(model, tmp_path, report=told.append, advance=steps.append)
    assert steps_of(lists(), SPEC) == 6
    assert steps == [0, *[1] * 6]
    assert [point.step for point in curve] == [3, 6]
    assert [point.held_out_ndcg_10 for point in curve] == [0.01, 0.02]
    assert told == list(curve)
    assert 0.2 < curve[0].loss < 5
    assert curve[0].seconds <= curve[1].seconds
    reranker.write_curve(curve, tmp_path)
    lines = (tmp_path / reranker.CURVE).read_text("utf-8").splitlines()
    assert [RerankerPoint(**json.loads(line)) for line in lines] == list(curve)


def test_the_best_point_is_kept(teacher_folder: Path, tmp_path: Path) -> None:
    """When the second epoch makes it worse, the weights are those after the first."""
    states: list[dict[str, torch.Tensor]] = []
    model = untrained(SPEC, str(teacher_folder))

    def falling() -> float:
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return 1 / len(states)

    curve = run(model, tmp_path, measure=falling)
    assert reranker.best(curve) == curve[0]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, states[0][name]), name
    assert not torch.equal(model.state_dict()[name], states[1][name])


def killed_at(step: int) -> Callable[[int], None]:
    """Fails once `step` steps are done."""
    done = count(0)

    def advance(amount: int) -> None:
        if amount and next(done) == step - 1:
            raise KeyboardInterrupt

    return advance


@pytest.mark.parametrize("step", [1, 2, 4, 6])
def test_resumed_equals_undisturbed(teacher_folder: Path, tmp_path: Path, step: int) -> None:
    """To the bit, wherever it was killed; dropout too is the step's own."""
    whole = untrained(SPEC, str(teacher_folder))
    expected = run(whole, tmp_path)
    second = tmp_path / "second"
    second.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(untrained(SPEC, str(teacher_folder)), second, advance=killed_at(step))
    torch.manual_seed(99)
    resumed = untrained(SPEC, str(teacher_folder))
    steps: list[int] = []
    numbers = iter([0.01, 0.02][sum(point.step < step for point in expected) :])
    curve = run(resumed, second, measure=lambda: next(numbers), advance=steps.append)
    assert steps[0] == step - 1  # the kill struck before the step's checkpoint
    assert [(point.step, point.loss) for point in curve] == [(point.step, point.loss) for point in expected]
    assert same(resumed, whole)


def test_finished_training_is_not_repeated(model: CrossEncoder, teacher_folder: Path, tmp_path: Path) -> None:
    """A second call finds the last checkpoint and takes the best weights from it."""
    curve = run(model, tmp_path)
    again = untrained(SPEC, str(teacher_folder))

    def never() -> float:
        raise AssertionError

    assert run(again, tmp_path, measure=never) == curve
    assert same(again, model)


def test_frozen_word_table(teacher_folder: Path, tmp_path: Path) -> None:
    """By default word vectors stay, and are not in the checkpoint."""
    spec = dataclasses.replace(SPEC, train_embeddings=False)
    model = untrained(spec, str(teacher_folder))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run(model, tmp_path, spec=spec)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    words = [name for name in before if "word_embeddings" in name]
    assert len(words) == 1
    assert words[0] not in changed
    assert len(changed) > 20
    assert words[0] not in torch.load(tmp_path / CHECKPOINT, weights_only=True)["model"]


def test_the_head_is_the_seeds(teacher_folder: Path, model: CrossEncoder) -> None:
    """The same seed, the same start."""
    assert same(model, untrained(SPEC, str(teacher_folder)))
    assert not same(model, untrained(dataclasses.replace(SPEC, seed=5), str(teacher_folder)))
    assert model.max_seq_length == SPEC.max_tokens


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", None])
def test_damaged_checkpoint(model: CrossEncoder, tmp_path: Path, damage: bytes | None) -> None:
    """It says which file to delete; so does one of another model."""
    if damage is None:
        torch.save({"model": {}, "optimizer": {}, "run": {}}, tmp_path / CHECKPOINT)
    else:
        (tmp_path / CHECKPOINT).write_bytes(damage)
    with pytest.raises(BuildError, match=rf"{CHECKPOINT}: damaged \(\w+\); delete it and run again"):
        run(model, tmp_path)


def test_loss_no_longer_a_number(model: CrossEncoder, tmp_path: Path) -> None:
    """A learning rate far too high is named as the cause, and nothing of it is kept."""
    assert model.model is not None
    model.model.get_input_embeddings().weight.data.fill_(math.nan)
    with pytest.raises(BuildError, match="the loss is nan at step 1; give a lower --learning-rate"):
        run(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_base_not_there(tmp_path: Path) -> None:
    """One error of ours."""
    spec = dataclasses.replace(SPEC, base="nowhere")
    with pytest.raises(ModelError, match=r"--base nowhere: cannot be loaded \(.+\)\. Give `packaged`"):
        untrained(spec, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("tokens", [15, 129])
def test_lengths_that_the_base_cannot_read(teacher_folder: Path, tokens: int) -> None:
    """128 positions, and some room for the passage."""
    spec = dataclasses.replace(SPEC, max_tokens=tokens)
    with pytest.raises(ModelError, match=f"--max-tokens {tokens}: expected 16 to 128, the positions of tiny"):
        untrained(spec, str(teacher_folder))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
