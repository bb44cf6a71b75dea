"""The recipe's `compile` section: what the query encoders become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

from build_tools.recipe_training import StudentSpec
from edge_runtime.schema import SchemaError

Precision = Literal["int8", "blockwise"]
"""How an ONNX encoder's matrices are stored (see `CompileSpec.precisions`)."""


@dataclass(frozen=True, slots=True)
class Form:
    """One compiled encoder of a bundle: its id there, and as in `edge_runtime.encoder_spec.EncoderSpec`."""

    id: str
    kind: Literal["onnx", "tflite", "static"]
    lengths: tuple[int, ...] = ()
    precision: Precision = "int8"


@dataclass(frozen=True, slots=True)
class CompileSpec:
    """What the query encoders are compiled to. A static encoder needs no engine, and is one file for all."""

    engines: Annotated[
        tuple[Literal["onnx", "tflite"], ...],
        "`onnx`: ONNX Runtime. `tflite`: LiteRT or tflite-runtime; needs the extra `build-tflite`. With "
        "both, the bundle has each encoder twice, the second with the engine's name behind its id, such as "
        "`layers3-tflite`.",
    ] = ("onnx",)
    precisions: Annotated[
        tuple[Precision, ...],
        "For `onnx`, how matrices are stored. `int8`: a scale a column, the fastest. `blockwise`: a scale "
        "for 32 numbers, which is nearer to PyTorch and takes longer; only processors with an int8 dot "
        "product run it, from ONNX Runtime 1.22 on. With both, the bundle has each encoder twice, the second "
        "with the precision behind its id, such as `layers3-blockwise`.",
    ] = ("int8",)
    lengths: Annotated[
        tuple[int, ...],
        "For `tflite`: without any, an encoder takes queries of every number of tokens. Numbers make it one "
        "of these fixed lengths, as some delegates want it: a query is padded to the next and cut at the "
        "last, and each length takes a copy of the weights in memory.",
    ] = ()

    def __post_init__(self) -> None:
        self._check_choice("engines", self.engines)
        self._check_choice("precisions", self.precisions)
        if "onnx" not in self.engines and self.precisions != ("int8",):
            found = ", ".join(self.engines)
            raise SchemaError(("precisions",), f"only for onnx, and the engine is {found}; remove it")
        if any(a >= b for a, b in pairwise((0, *self.lengths))):
            found = ", ".join(map(str, self.lengths))
            raise SchemaError(("lengths",), f"expected rising numbers from 1; found {found}")

    def forms(self, encoder: StudentSpec) -> tuple[Form, ...]:
        """What an encoder of the recipe is compiled to; the first form keeps its id.

        A length beyond the encoder's longest query would never be used, so that takes its place.
        """
        if encoder.kind == "static":
            return (Form(encoder.id, "static"),)
        lengths = tuple(sorted({min(length, encoder.max_tokens) for length in self.lengths}))
        made: list[Form] = []
        for engine in self.engines:
            if engine == "tflite":
                made.append(Form(f"{encoder.id}-tflite", "tflite", lengths))
                continue
            for precision in self.precisions:
                suffix = "onnx" if precision == "int8" else precision
                made.append(Form(f"{encoder.id}-{suffix}", "onnx", precision=precision))
        return (replace(made[0], id=encoder.id), *made[1:])

    def _check_choice(self, name: str, chosen: tuple[str, ...]) -> None:
        if not chosen or len(set(chosen)) != len(chosen):
            found = ", ".join(chosen) or "none"
            raise SchemaError((name,), f"expected different {name}, one at least; found {found}")
