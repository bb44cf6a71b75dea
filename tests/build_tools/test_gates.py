"""The recipe's gates: which there are, what passes, and what the error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import gates
from build_tools.errors import GateError
from build_tools.gates import Gate
from build_tools.quality import Parity, QualityCard, Row
from build_tools.recipe import GatesSpec
from build_tools.recipe_compile import Form

SPEC = GatesSpec(cosine_mean=0.99, cosine_min=0.95, index_recall=0.98)
FORM = Form("e", "onnx")
SHIPPED = Row("e, int8, index", 0.6, 0.7, 0.8, 0.5, retention=0.97)


def card(
    *, mean: float = 0.99, least: float = 0.95, recall: float | None = 0.98, row: Row = SHIPPED
) -> QualityCard:
    """A card with the figures that have gates."""
    return QualityCard("labels", 1, (row,), (Parity("e", 9, mean, least),), recall)


def found(
    spec: GatesSpec,
    measured: QualityCard,
    *,
    size: int = 1000,
    ratios: dict[str, float] | None = None,
    form: Form = FORM,
) -> tuple[Gate, ...]:
    """The gates of one encoder."""
    return gates.gates(spec, measured, [form], size=size, latency_ratios=ratios or {})


def test_gates_that_a_recipe_does_not_set_are_not_asked() -> None:
    """Parity and index recall have defaults; the others are only there where they are set."""
    assert [gate.name for gate in found(SPEC, card())] == ["e cosine_mean", "e cosine_min", "index_recall"]


def test_blockwise_precision_has_a_gate_of_its_own() -> None:
    """It exists to be nearer to PyTorch than int8 is."""
    mean, least, _ = found(SPEC, card(mean=0.9985), form=Form("e", "onnx", precision="blockwise"))
    assert mean.line() == "e cosine_mean: 0.9985, gate at least 0.9990"
    assert (mean.passed, least.bound) == (False, SPEC.cosine_min)


def test_figures_at_the_gates_pass() -> None:
    """A bound is within."""
    spec = GatesSpec(
        0.99, 0.95, index_recall=0.98, retention=0.97, ndcg_10=0.6, bytes=1000, latency_ratio=0.5
    )
    every = found(spec, card(), ratios={"e": 0.5})
    assert [gate.name for gate in every[3:]] == [
        "e retention",
        "e ndcg_10",
        "e latency_ratio",
        "size of the bundle",
    ]
    assert all(gate.passed for gate in every)
    gates.check(every, Path("draft"))


@pytest.mark.parametrize(
    ("measured", "short"),
    [
        (card(mean=0.9899), ["e cosine_mean: 0.9899, gate at least 0.9900"]),
        (card(least=0.5), ["e cosine_min: 0.5000, gate at least 0.9500"]),
        (card(recall=0.97), ["index_recall: 0.9700, gate at least 0.9800"]),
        (card(recall=None), ["index_recall: not measured, gate at least 0.9800"]),
        (card(mean=float("nan")), ["e cosine_mean: nan, gate at least 0.9900"]),
        (
            card(mean=0, least=-1, recall=0),
            [
                "e cosine_mean: 0.0000, gate at least 0.9900",
                "e cosine_min: -1.0000, gate at least 0.9500",
                "index_recall: 0.0000, gate at least 0.9800",
            ],
        ),
    ],
)
def test_figures_that_fall_short(measured: QualityCard, short: list[str]) -> None:
    """Each has a line; the message says where the draft is."""
    with pytest.raises(GateError) as caught:
        gates.check(found(SPEC, measured), Path("out/bundle.new"))
    first, *lines = str(caught.value).splitlines()
    assert "draft is kept in out/bundle.new" in first
    assert [line.strip() for line in lines] == short


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (GatesSpec(retention=0.98), "e retention: 0.9700, gate at least 0.9800"),
        (GatesSpec(ndcg_10=0.61), "e ndcg_10: 0.6000, gate at least 0.6100"),
        (GatesSpec(bytes=12_345), "size of the bundle: 12,346 bytes, gate at most 12,345 bytes"),
        (GatesSpec(latency_ratio=0.25), "e latency_ratio: 0.2600, gate at most 0.2500"),
    ],
)
def test_gates_of_other_figures(spec: GatesSpec, line: str) -> None:
    """Each with its side and its unit."""
    measured = card(mean=1, least=1, recall=1)
    short = [gate for gate in found(spec, measured, size=12_346, ratios={"e": 0.26}) if not gate.passed]
    assert [gate.line() for gate in short] == [line]


def test_what_was_not_measured_does_not_pass() -> None:
    """Neither an encoder without a row, nor one without a retention, nor one that was not timed."""
    spec = GatesSpec(retention=0.1, latency_ratio=9.0)
    bare = Row("e, int8, index", 0.6, 0.7, 0.8, 0.5)
    other = Row("another, int8, index", 0.6, 0.7, 0.8, 0.5, retention=1)
    for row in (bare, other):
        short = [
            gate.line() for gate in found(spec, card(mean=1, least=1, recall=1, row=row)) if not gate.passed
        ]
        assert short == [
            "e retention: not measured, gate at least 0.1000",
            "e latency_ratio: not measured, gate at most 9.0000",
        ]


def test_every_encoder_is_asked() -> None:
    """In the order of the recipe."""
    rows = (SHIPPED, Row("f, int8, index", 0.2, 0.7, 0.8, 0.5, retention=0.4))
    measured = QualityCard("labels", 1, rows, (), 1.0)
    asked = gates.gates(
        GatesSpec(ndcg_10=0.5), measured, [FORM, Form("f", "onnx")], size=1, latency_ratios={}
    )
    assert [(gate.name, gate.passed) for gate in asked[1:]] == [("e ndcg_10", True), ("f ndcg_10", False)]
