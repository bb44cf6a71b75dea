"""The recipe's `reranker` section: a cross-encoder that the bundle carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from build_tools.recipe_checks import at_least, not_empty
from edge_runtime.reranker_spec import MIN_TOKENS


@dataclass(frozen=True, slots=True)
class RerankingSpec:
    """A cross-encoder that a search may ask to order the first documents anew."""

    model: Annotated[
        str,
        "A sentence-transformers CrossEncoder of BERT's form: hub name or folder, such as `edge-build "
        "train-reranker` makes.",
    ]
    depth: Annotated[int, "Documents that it reads when a search does not say how many."] = 20
    max_tokens: Annotated[
        int | None, "Query and passage together are cut to this many word pieces; null as the model does."
    ] = None

    def __post_init__(self) -> None:
        not_empty(self, "model")
        at_least(self, 1, "depth")
        at_least(self, MIN_TOKENS, "max_tokens")
