"""Which layers are tried, and that no trial is made twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tools.distill.probe import RECORD, Layers, Probed, Trial, choices, probe, short_steps
from build_tools.errors import BuildError, ModelError

COSINES = {(0, 2, 5): 0.8, (0, 4, 5): 0.9, (0, 1, 5): 0.9, (0, 1, 2): 0.7, (3, 4, 5): 0.6}


class Trainer:
    """Knows how every choice ends, and remembers which it was asked for."""

    def __init__(self, fail_at: Layers | None = None) -> None:
        self.asked: list[Layers] = []
        self._fail_at = fail_at

    def __call__(self, layers: Layers) -> float:
        if layers == self._fail_at:
            raise KeyboardInterrupt
        self.asked.append(layers)
        return COSINES[layers]


@pytest.mark.parametrize(
    ("total", "keep", "expected"),
    [
        (6, 3, [(0, 2, 5), (0, 4, 5), (0, 1, 5), (0, 1, 2), (3, 4, 5)]),
        (6, 2, [(0, 5), (0, 1), (4, 5)]),
        (6, 1, [(0,), (5,)]),
        (12, 4, [(0, 4, 7, 11), (0, 9, 10, 11), (0, 1, 2, 11), (0, 1, 2, 3), (8, 9, 10, 11)]),
        (3, 3, [(0, 1, 2)]),
        (1, 1, [(0,)]),
    ],
)
def test_choices(total: int, keep: int, expected: list[Layers]) -> None:
    """Each once."""
    assert list(choices(total, keep)) == expected


@given(total=st.integers(1, 48), data=st.data())
def test_choices_are_such_as_a_recipe_may_name(total: int, data: st.DataObject) -> None:
    """As many rising numbers of existing layers as asked for, never the same choice twice."""
    keep = data.draw(st.integers(1, total))
    found = choices(total, keep)
    assert 1 <= len(found) <= 5
    assert len(set(found)) == len(found)
    for layers in found:
        assert len(layers) == keep
        assert list(layers) == sorted(set(layers))
        assert 0 <= layers[0] <= layers[-1] < total


@pytest.mark.parametrize("keep", [0, 7])
def test_more_layers_than_there_are(keep: int) -> None:
    """The error says how many there are."""
    with pytest.raises(
        ModelError, match=rf"encoders\.probe {keep}: the base encoder has 6 layers; give 1 to 6"
    ):
        choices(6, keep)


@pytest.mark.parametrize(("steps", "short"), [(1, 50), (1000, 50), (1500, 75), (20000, 1000)])
def test_short_runs(steps: int, short: int) -> None:
    """A twentieth of a full run, and never too few to tell anything."""
    assert short_steps(steps) == short


def test_the_best_wins_the_earlier_of_equals(tmp_path: Path) -> None:
    """All choices are tried, in order."""
    trainer = Trainer()
    probed = probe(choices(6, 3), tmp_path, train_short=trainer)
    assert trainer.asked == list(COSINES)
    assert probed == Probed(tuple(Trial(layers, cosine) for layers, cosine in COSINES.items()))
    assert probed.layers == (0, 4, 5)


@pytest.mark.parametrize("stop", list(COSINES))
def test_interrupted_at_any_trial(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, stop: Layers
) -> None:
    """The second call makes the remaining trials only, and ends the same."""
    first, second, other = Trainer(stop), Trainer(), tmp_path_factory.mktemp("other")
    with pytest.raises(KeyboardInterrupt):
        probe(choices(6, 3), tmp_path, train_short=first)
    probed = probe(choices(6, 3), tmp_path, train_short=second)
    assert first.asked + second.asked == list(COSINES)
    assert probed == probe(choices(6, 3), other, train_short=Trainer())


def test_a_finished_probe_trains_nothing(tmp_path: Path) -> None:
    """Its record is all it needs."""
    probed = probe(choices(6, 3), tmp_path, train_short=Trainer())
    idle = Trainer()
    assert probe(choices(6, 3), tmp_path, train_short=idle) == probed
    assert not idle.asked


def test_other_choices_keep_what_is_known(tmp_path: Path) -> None:
    """Trials of choices that are no longer asked for stay on record but do not win."""
    probe(((0, 4, 5), (0, 1, 2)), tmp_path, train_short=Trainer())
    probed = probe(((0, 2, 5), (0, 1, 2)), tmp_path, train_short=Trainer())
    assert probed.layers == (0, 2, 5)
    assert len(json.loads((tmp_path / RECORD).read_text("utf-8"))) == 3


@pytest.mark.parametrize(
    "text", ["", "[", '{"layers": 1}', '[{"layers": [0]}]', '[{"layers": 0, "cosine": 1}]']
)
def test_a_damaged_record(tmp_path: Path, text: str) -> None:
    """One error, with the way out."""
    (tmp_path / RECORD).write_text(text, "utf-8")
    with pytest.raises(BuildError, match=r"probe\.json: damaged .*delete it and run again"):
        probe(((0,),), tmp_path, train_short=Trainer())


@pytest.mark.parametrize("cosine", [float("nan"), float("inf")])
def test_a_run_that_diverged(tmp_path: Path, cosine: float) -> None:
    """Is an error and no winner."""
    with pytest.raises(BuildError, match=r"layers \[0, 2\] end with a cosine of .*lower training"):
        probe(((0, 2),), tmp_path, train_short=lambda _: cosine)
    assert not (tmp_path / RECORD).exists()
