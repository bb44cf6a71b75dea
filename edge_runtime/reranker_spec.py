"""What the manifest says of a bundle's reranker: a cross-encoder that reads query and passage together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge_runtime.schema import require, require_positive, shown

MIN_TOKENS = 8
"""Three are special; with fewer than this nothing is left of query and passage."""


@dataclass(frozen=True, slots=True)
class RerankerSpec:
    """A cross-encoder: a query and a passage to one score, higher is more relevant.

    Attributes:
        path: the model's file; `weights` is the file beside it that it names.
        golden: pairs with known scores, for self-tests.
        max_tokens: query and passage together, special tokens included; the longer one is cut.
        depth: how many documents a search reranks when it does not say.
        layers: of the transformer.
    """

    kind: Literal["onnx"]
    path: str
    weights: str
    tokenizer: str
    golden: str
    max_tokens: int
    depth: int
    layers: int
    writer: Mapping[str, str]

    def __post_init__(self) -> None:
        require_positive(self, "depth", "layers")
        enough = self.max_tokens >= MIN_TOKENS
        require(enough, "max_tokens", f"expected {MIN_TOKENS} or more; found {self.max_tokens}")
        beside = self.weights.rpartition("/")[0] == self.path.rpartition("/")[0] and self.weights != self.path
        expected = f"expected another file beside {shown(self.path)}; found {shown(self.weights)}"
        require(beside, "weights", expected)

    @property
    def members(self) -> tuple[str, ...]:
        """The files that it is made of, as the manifest lists them."""
        return (self.path, self.weights, self.tokenizer, self.golden)
