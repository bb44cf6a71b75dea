"""The recipe's gates: figures that a build must reach, each with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tools.errors import GateError
from build_tools.quality import QualityCard, Row
from build_tools.recipe import GatesSpec
from build_tools.recipe_compile import Form


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        found: None where it could not be measured, which does not pass.
        at_most: whether `bound` is the most that passes; else it is the least.
        in_bytes: whether it is a size.
    """

    name: str
    bound: float
    found: float | None
    at_most: bool = False
    in_bytes: bool = False

    @property
    def passed(self) -> bool:
        """Whether what was found is within the bound."""
        if self.found is None:
            return False
        # Not the other way round: a figure that is not a number must not pass.
        return self.found <= self.bound if self.at_most else self.found >= self.bound

    def line(self) -> str:
        """The gate in words."""
        found = "not measured" if self.found is None else self._shown(self.found)
        side = "at most" if self.at_most else "at least"
        return f"{self.name}: {found}, gate {side} {self._shown(self.bound)}"

    def _shown(self, value: float) -> str:
        return f"{value:,.0f} bytes" if self.in_bytes else f"{value:.4f}"


def gates(
    spec: GatesSpec,
    card: QualityCard,
    forms: Sequence[Form],
    *,
    size: int,
    latency_ratios: Mapping[str, float],
) -> tuple[Gate, ...]:
    """Every gate that the recipe sets; those of an encoder once for each.

    Args:
        forms: the encoders.
        size: of the whole bundle, in bytes.
        latency_ratios: time to encode a query as a share of the teacher's, by encoder; read where the recipe
            sets that gate.
    """
    found = [*_of_vectors(spec, card, [form.id for form in forms if form.precision == "blockwise"])]
    for form in forms:
        found += _of_encoder(spec, card.through_index(form.id), form.id, latency_ratios.get(form.id))
    return (*found, *of_size(spec, size))


def of_size(spec: GatesSpec, size: int) -> tuple[Gate, ...]:
    """The gate of a bundle of `size` bytes, where the recipe sets one."""
    if spec.bytes is None:
        return ()
    return (Gate("size of the bundle", spec.bytes, size, at_most=True, in_bytes=True),)


def check(found: Sequence[Gate], draft: Path | None = None) -> None:
    """Fails where a gate was missed.

    Args:
        draft: what missed it, where that is kept for inspection.

    Raises:
        GateError: a table of every figure that fell short.
    """
    short = [f"  {gate.line()}" for gate in found if not gate.passed]
    if short:
        lines = "\n".join(short)
        kept = f"; the draft is kept in {draft}" if draft else ""
        raise GateError(f"outside the recipe's gates{kept}:\n{lines}")


def _of_vectors(spec: GatesSpec, card: QualityCard, blockwise: Sequence[str]) -> Iterator[Gate]:
    for parity in card.parity:
        mean = spec.blockwise_cosine_mean if parity.encoder in blockwise else spec.cosine_mean
        yield Gate(f"{parity.encoder} cosine_mean", mean, parity.cosine_mean)
        yield Gate(f"{parity.encoder} cosine_min", spec.cosine_min, parity.cosine_min)
    yield Gate("index_recall", spec.index_recall, card.index_recall)


def _of_encoder(spec: GatesSpec, row: Row | None, encoder: str, ratio: float | None) -> Iterator[Gate]:
    if spec.retention is not None:
        yield Gate(f"{encoder} retention", spec.retention, row.retention if row else None)
    if spec.ndcg_10 is not None:
        yield Gate(f"{encoder} ndcg_10", spec.ndcg_10, row.ndcg_10 if row else None)
    if spec.latency_ratio is not None:
        yield Gate(f"{encoder} latency_ratio", spec.latency_ratio, ratio, at_most=True)
