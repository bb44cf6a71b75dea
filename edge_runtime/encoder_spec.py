"""What the manifest says of a query encoder: a rung of the bundle's ladder, its quality and its cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from edge_runtime.compatibility import VERSION_PATTERN
from edge_runtime.cpu import Requirement
from edge_runtime.schema import require, require_match, require_positive, shown

AUTO = "auto"
"""In place of an encoder's id: the one that was calibrated on this device, else the bundle's first."""

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names of bundles and encoders; each is also a file name."""

TABLE, SCALES, BIGRAMS = "table.npy", "scales.npy", "bigrams.npy"
"""The files in a static encoder's directory (see `encoders.static`)."""


@dataclass(frozen=True, slots=True)
class EncoderQuality:
    """How well search by meaning alone answers with this encoder, through the bundle's own index.

    Attributes:
        ndcg_10: mean nDCG@10, from 0 to 1.
        retention: `ndcg_10` over the teacher's own; None where that is not defined.
        basis: judged queries, or agreement with the teacher's ten best documents on held-out text.
        version: of the bundle with whose documents it was measured; None where it is this one.
    """

    ndcg_10: float
    retention: float | None
    basis: Literal["labels", "teacher"]
    version: str | None = None

    def __post_init__(self) -> None:
        require(0 <= self.ndcg_10 <= 1, "ndcg_10", f"expected 0 to 1; found {self.ndcg_10}")
        sound = self.retention is None or self.retention >= 0
        require(sound, "retention", f"expected 0 or more; found {self.retention}")
        if self.version is not None:
            require_match(VERSION_PATTERN, self.version, "version", "three numbers such as 1.0.0")


@dataclass(frozen=True, slots=True)
class EncoderCost:
    """What the encoder costs a device: bytes of its files, and multiply-adds for a query of 16 tokens."""

    bytes: int
    macs: int

    def __post_init__(self) -> None:
        for field in ("bytes", "macs"):
            value = getattr(self, field)
            require(value >= 0, field, f"expected 0 or more; found {value}")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A query encoder: text to one unit vector in the space of the document vectors.

    Attributes:
        path: the encoder's file; for a static one the directory of its three.
        weights: the file of an ONNX model's weights, where the model names one beside it.
        max_tokens: longest input, special tokens included.
        lengths: numbers of tokens that a TFLite file has a signature for, rising; an input is padded to the
            next. Empty for one that takes any number, as encoders of other kinds do.
        prompt: put before every query.
        layers: of the transformer; 0 for a static encoder.
        requires: what the processor must have; a device without it refuses the encoder.
    """

    id: str
    kind: Literal["onnx", "tflite", "static"]
    path: str
    tokenizer: str
    ndim: int
    max_tokens: int
    prompt: str
    layers: int
    writer: Mapping[str, str]
    quality: EncoderQuality | None = None
    cost: EncoderCost | None = None
    lengths: tuple[int, ...] = ()
    requires: tuple[Requirement, ...] = ()
    weights: str | None = None

    def __post_init__(self) -> None:
        require_match(NAME_PATTERN, self.id, "id", "lower-case letters, digits, '.', '_' and '-'")
        require(self.id != AUTO, "id", f"expected another name; {AUTO!r} means the calibrated encoder")
        require_positive(self, "ndim", "max_tokens")
        require(self.layers >= 0, "layers", f"expected 0 or more; found {self.layers}")
        self._check_lengths()
        self._check_weights()

    @property
    def members(self) -> tuple[str, ...]:
        """The files that the encoder is made of, as the manifest lists them."""
        if self.kind == "static":
            return tuple(f"{self.path}/{name}" for name in (TABLE, SCALES, BIGRAMS))
        return (self.path,) if self.weights is None else (self.path, self.weights)

    def _check_lengths(self) -> None:
        if self.kind != "tflite":
            require(not self.lengths, "lengths", f"only for tflite, and this is {self.kind}")
            return
        if not self.lengths:
            return
        rising = all(a < b for a, b in pairwise((0, *self.lengths)))
        found = ", ".join(map(str, self.lengths))
        require(rising, "lengths", f"expected rising numbers from 1; found {found}")
        longest = self.lengths[-1]
        require(
            longest >= self.max_tokens, "lengths", f"expected {self.max_tokens} in the end; found {longest}"
        )

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        require(self.kind == "onnx", "weights", f"only for onnx, and this is {self.kind}")
        beside = self.weights.rpartition("/")[0] == self.path.rpartition("/")[0] and self.weights != self.path
        expected = f"expected another file beside {shown(self.path)}; found {shown(self.weights)}"
        require(beside, "weights", expected)


def signature(length: int | None = None) -> str:
    """What a TFLite file calls its entry for `length` tokens; for any number when None."""
    return "tokens" if length is None else f"tokens_{length}"
