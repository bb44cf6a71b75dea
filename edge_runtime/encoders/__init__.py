"""Query encoders: one file an engine, one shape for all (see `base`)."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime import cpu
from edge_runtime.bundle import Bundle
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.base import Encoder
from edge_runtime.errors import EngineError

__all__ = ["Encoder", "engine", "load", "obstacle"]


def load(bundle: Bundle, spec: EncoderSpec, *, threads: int = 1) -> Encoder:
    """The encoder that `spec` describes; its engine is imported here and nowhere earlier.

    Raises:
        BundleError: the encoder's files contradict each other or the manifest.
        EngineError: the engine is missing or refuses the file, or the processor lacks what it requires.
    """
    if unmet := cpu.unmet(spec.requires):
        raise EngineError(
            f"encoder {spec.id} {unmet}; open another one, or rebuild the bundle with one in int8"
        )
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


def obstacle(spec: EncoderSpec, features: Sequence[str] | None = None) -> str | None:
    """Why a device cannot run `spec`, in words that follow its name; None when it can. Loads no engine.

    Args:
        features: of the processor (see `cpu.Cpu`); those of this machine when None.
    """
    if engine(spec) is None:
        return f"has no engine here: pip install 'edge-runtime[{spec.kind}]'"
    return cpu.unmet(spec.requires, features)
