"""Gates, dates, and the manifest of a draft."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import assemble
from build_tools.assemble import check_gates, created
from build_tools.errors import BuildError, GateError
from build_tools.quality import Parity, QualityCard
from build_tools.recipe import GatesSpec

GATES = GatesSpec(cosine_mean=0.99, cosine_min=0.95, index_recall=0.98)


def card(*, mean: float = 0.99, least: float = 0.95, recall: float | None = 0.98) -> QualityCard:
    """A card with the figures that have gates."""
    return QualityCard("labels", 1, (), (Parity("e", 9, mean, least),), recall)


def test_figures_at_the_gates_pass() -> None:
    """And so does a figure that was not measured."""
    check_gates(card(), GATES, Path("draft"))
    check_gates(card(recall=None), GATES, Path("draft"))


@pytest.mark.parametrize(
    ("measured", "short"),
    [
        (card(mean=0.9899), ["e cosine_mean: 0.9899, gate 0.9900"]),
        (card(least=0.5), ["e cosine_min: 0.5000, gate 0.9500"]),
        (card(recall=0.97), ["index_recall: 0.9700, gate 0.9800"]),
        (card(mean=float("nan")), ["e cosine_mean: nan, gate 0.9900"]),
        (
            card(mean=0, least=-1, recall=0),
            ["e cosine_mean: 0.0000", "e cosine_min: -1.0000", "index_recall: 0.0000"],
        ),
    ],
)
def test_figures_that_fall_short(measured: QualityCard, short: list[str]) -> None:
    """Each has a line; the message says where the draft is."""
    with pytest.raises(GateError) as caught:
        check_gates(measured, GATES, Path("out/bundle.new"))
    first, *lines = str(caught.value).splitlines()
    assert "draft is kept in out/bundle.new" in first
    assert [line.strip().startswith(start) for line, start in zip(lines, short, strict=True)] == [True] * len(
        short
    )


def test_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """The given second in UTC, or now."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert created() == "1970-01-02T00:00:00Z"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert created() > "2025"


@pytest.mark.parametrize("value", ["abc", "1.5", "9" * 30])
def test_a_wrong_date(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One clear error."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(
        BuildError, match=f"SOURCE_DATE_EPOCH: expected whole seconds since 1970; found '{value}'"
    ):
        created()


def test_every_file_is_listed(bundle: Path) -> None:
    """The manifest names all files but itself, and both licences."""
    from edge_runtime import manifest as manifests

    manifest = manifests.read(bundle / manifests.FILENAME)
    found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {entry.path for entry in manifest.files} == found - {manifests.FILENAME}
    assert [licence.licence for licence in manifest.licences] == ["CC0-1.0", "unknown"]
    assert manifest.encoders[0].tokenizer == assemble.TOKENIZER
