"""The bundle's cross-encoder with its tokenizer: (query, passage) to a score, on demand.

It reads both together, which no vector of either can replace, and takes as long as a query encoder on all
the words of the passage: for the few documents that a search has found, never for the corpus.
"""

from __future__ import annotations

from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.encoders.pairs import PairScorer
from edge_runtime.reranker_spec import RerankerSpec
from edge_runtime.tokenizer import PairTokens, Tokenizer


class Reranker:
    """Scores pairs of texts. Thread-safe; `close` it."""

    def __init__(self, tokenizer: Tokenizer, scorer: PairScorer) -> None:
        """Takes finished parts; the scorer is closed with it."""
        self._tokenizer, self._scorer = tokenizer, scorer

    @classmethod
    def load(cls, bundle: Bundle, spec: RerankerSpec, *, config: DeviceConfig = DEFAULT) -> Reranker:
        """Loads model and tokenizer.

        Raises:
            BundleError: the tokenizer cannot be used.
            EngineError: onnxruntime is missing or refuses the model.
        """
        tokenizer = Tokenizer.load(bundle.path(spec.tokenizer), max_tokens=spec.max_tokens)
        providers = config.onnx.accelerators
        scorer = PairScorer.load(bundle.path(spec.path), threads=config.threads, providers=providers)
        return cls(tokenizer, scorer)

    @property
    def engine(self) -> str:
        """Name and version of what runs it."""
        return self._scorer.engine

    def tokenize(self, query: str, passage: str) -> PairTokens:
        """What the model is given for a pair; the longer text is cut first."""
        return self._tokenizer.encode_pair(query, passage)

    def score(self, tokens: PairTokens) -> float:
        """How well a passage answers a query: a logit, higher is better.

        Raises:
            EngineError: the engine failed.
        """
        return self._scorer.score(tokens.ids, tokens.types)

    def close(self) -> None:
        """Frees the model."""
        self._scorer.close()
