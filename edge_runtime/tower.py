"""The query side of the dual encoder: text to token ids to a vector in the space of the documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime import encoders
from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.encoders import Encoder
from edge_runtime.manifest import EncoderSpec, Manifest
from edge_runtime.tokenizer import Tokenizer


class QueryTower:
    """One encoder of the ladder with its tokenizer and prompt. Thread-safe; `close` it."""

    def __init__(self, spec: EncoderSpec, *, tokenizer: Tokenizer, encoder: Encoder) -> None:
        """Takes finished parts; the encoder is closed with the tower."""
        self.id, self.ndim, self.max_tokens = spec.id, spec.ndim, spec.max_tokens
        self._prompt = spec.prompt
        self._tokenizer, self._encoder = tokenizer, encoder

    @classmethod
    def load(cls, bundle: Bundle, spec: EncoderSpec, *, config: DeviceConfig = DEFAULT) -> QueryTower:
        """Raises as `encoders.load` does; BundleError also where the tokenizer cannot be used."""
        tokenizer = Tokenizer.load(bundle.path(spec.tokenizer), max_tokens=spec.max_tokens)
        return cls(spec, tokenizer=tokenizer, encoder=encoders.load(bundle, spec, config=config))

    @property
    def engine(self) -> str:
        """Name and version of what runs the encoder."""
        return self._encoder.engine

    def tokenize(self, text: str) -> list[int]:
        """The token ids that the encoder is given for a query, its prompt included."""
        return self._tokenizer.encode(self._prompt + text)

    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """A query's vector, float32 (ndim,), of unit length."""
        return self._encoder.encode(token_ids)

    def close(self) -> None:
        """Frees the encoder."""
        self._encoder.close()


def smaller(manifest: Manifest, spec: EncoderSpec) -> EncoderSpec | None:
    """The encoder with the fewest layers that can stand in for `spec` when time is short; None without one.

    It must run here, and on no second engine: that would cost more memory than it is worth.
    """
    fewer = [
        other
        for other in manifest.encoders
        if other.layers < spec.layers and other.kind in ("static", spec.kind) and not encoders.obstacle(other)
    ]
    return min(fewer, key=lambda other: other.layers, default=None)
