"""Query encoders: one file an engine, one shape for all (see `base`)."""

from __future__ import annotations

from edge_runtime.bundle import Bundle
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.base import Encoder

__all__ = ["Encoder", "engine", "load"]


def load(bundle: Bundle, spec: EncoderSpec, *, threads: int = 1) -> Encoder:
    """The encoder that `spec` describes; its engine is imported here and nowhere earlier.

    Raises:
        BundleError: the encoder's files contradict each other or the manifest.
        EngineError: the engine is missing or refuses the file.
    """
    if spec.kind == "static":
        from edge_runtime.encoders.static import StaticEncoder

        return StaticEncoder.load(bundle, spec)
    if spec.kind == "tflite":
        from edge_runtime.encoders.tflite import TfliteEncoder

        return TfliteEncoder.load(bundle.path(spec.path), spec, threads=threads)
    from edge_runtime.encoders.onnx import OnnxEncoder

    return OnnxEncoder.load(bundle.path(spec.path), spec, threads=threads)


def engine(spec: EncoderSpec) -> str | None:
    """Name and version of the engine that would run `spec`, without loading it; None when not installed."""
    if spec.kind == "static":
        from edge_runtime.encoders import static

        return static.installed()
    if spec.kind == "tflite":
        from edge_runtime.encoders import tflite

        return tflite.installed()
    from edge_runtime.encoders import onnx

    return onnx.installed()
