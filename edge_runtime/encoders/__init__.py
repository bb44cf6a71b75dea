"""Query encoders: one file an engine, one shape for all (see `base`)."""

from __future__ import annotations

from edge_runtime.bundle import Bundle
from edge_runtime.encoders.base import Encoder
from edge_runtime.manifest import EncoderSpec

__all__ = ["Encoder", "load"]


def load(bundle: Bundle, spec: EncoderSpec, *, threads: int = 1) -> Encoder:
    """The encoder that `spec` describes; its engine is imported here and nowhere earlier.

    Raises:
        EngineError: the engine is missing or refuses the file.
    """
    from edge_runtime.encoders.onnx import OnnxEncoder

    return OnnxEncoder.load(bundle.path(spec.path), spec, threads=threads)
