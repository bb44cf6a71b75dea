"""The recipe's `compile` section: what the query encoders become."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from build_tools.recipe_training import StudentSpec
from edge_runtime.encoder_spec import LENGTHS
from edge_runtime.schema import SchemaError


@dataclass(frozen=True, slots=True)
class Form:
    """One compiled encoder of a bundle: its id there, and as in `edge_runtime.encoder_spec.EncoderSpec`."""

    id: str
    kind: Literal["onnx", "tflite", "static"]
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CompileSpec:
    """What the query encoders are compiled to. A static encoder needs no engine, and is one file for all."""

    engines: Annotated[
        tuple[Literal["onnx", "tflite"], ...],
        "`onnx`: ONNX Runtime. `tflite`: LiteRT or tflite-runtime; needs the extra `build-tflite`. With "
        "both, the bundle has each encoder twice, the second with the engine's name behind its id, such as "
        "`layers3-tflite`.",
    ] = ("onnx",)
    lengths: Annotated[
        tuple[int, ...],
        "For `tflite`: numbers of tokens to compile for. A query is padded to the next and cut at the last.",
    ] = LENGTHS

    def __post_init__(self) -> None:
        if not self.engines or len(set(self.engines)) != len(self.engines):
            found = ", ".join(self.engines) or "none"
            raise SchemaError(("engines",), f"expected different engines, one at least; found {found}")
        if not self.lengths or any(a >= b for a, b in pairwise((0, *self.lengths))):
            found = ", ".join(map(str, self.lengths)) or "none"
            raise SchemaError(("lengths",), f"expected rising numbers from 1; found {found}")

    def forms(self, encoder: StudentSpec) -> tuple[Form, ...]:
        """What an encoder of the recipe is compiled to; the first engine's form keeps its id.

        A length beyond the encoder's longest query would never be used, so that takes its place.
        """
        if encoder.kind == "static":
            return (Form(encoder.id, "static"),)
        lengths = tuple(sorted({min(length, encoder.max_tokens) for length in self.lengths}))
        return tuple(
            Form(
                id=encoder.id if engine == self.engines[0] else f"{encoder.id}-{engine}",
                kind=engine,
                lengths=lengths if engine == "tflite" else (),
            )
            for engine in self.engines
        )
