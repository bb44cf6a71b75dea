"""Query encoders: one file an engine, one shape for all (see `base`)."""

from __future__ import annotations

from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.base import Encoder

__all__ = ["Encoder", "engine", "load"]


def load(bundle: Bundle, spec: EncoderSpec, *, config: DeviceConfig = DEFAULT) -> Encoder:
    """The encoder that `spec` describes; its engine is imported here and nowhere earlier.

    What `config` asks for and cannot be had is left out, with a `DeviceWarning`.

    Raises:
        BundleError: the encoder's files contradict each other or the manifest.
        EngineError: the engine is missing or refuses the file.
    """
    if spec.kind == "static":
        from edge_runtime.encoders.static import StaticEncoder

        return StaticEncoder.load(bundle, spec)
    if spec.kind == "tflite":
        from edge_runtime.encoders.tflite import TfliteEncoder

        return TfliteEncoder.load(
            bundle.path(spec.path), spec, threads=config.threads, delegates=config.tflite.delegates
        )
    from edge_runtime.encoders.onnx import OnnxEncoder

    return OnnxEncoder.load(
        bundle.path(spec.path), spec, threads=config.threads, providers=config.onnx.accelerators
    )


def engine(spec: EncoderSpec, *, config: DeviceConfig = DEFAULT) -> str | None:
    """Name and version of the engine that would run `spec`, and what `config` asks of it.

    Nothing is loaded, so what would really run is not known: that is `Encoder.engine`. None when the engine
    is not installed.
    """
    name, asked = _installed(spec), config.asked(spec.kind)
    return f"{name}, asked for {asked}" if name is not None and asked else name


def _installed(spec: EncoderSpec) -> str | None:
    if spec.kind == "static":
        from edge_runtime.encoders import static

        return static.installed()
    if spec.kind == "tflite":
        from edge_runtime.encoders import tflite

        return tflite.installed()
    from edge_runtime.encoders import onnx

    return onnx.installed()
