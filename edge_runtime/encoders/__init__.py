"""Query encoders: one file an engine, one shape for all (see `base`)."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime import cpu
from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.base import Encoder
from edge_runtime.errors import EngineError

__all__ = ["Encoder", "engine", "load", "no_engine", "obstacle"]


def load(bundle: Bundle, spec: EncoderSpec, *, config: DeviceConfig = DEFAULT) -> Encoder:
    """The encoder that `spec` describes; its engine is imported here and nowhere earlier.

    What `config` asks for and cannot be had is left out, with a `DeviceWarning`.

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
    name, asked = _installed(spec.kind), config.asked(spec.kind)
    return f"{name}, asked for {asked}" if name is not None and asked else name


def _installed(kind: str) -> str | None:
    if kind == "static":
        from edge_runtime.encoders import static

        return static.installed()
    if kind == "tflite":
        from edge_runtime.encoders import tflite

        return tflite.installed()
    from edge_runtime.encoders import session

    return session.installed()


def obstacle(spec: EncoderSpec, features: Sequence[str] | None = None) -> str | None:
    """Why a device cannot run `spec`, in words that follow its name; None when it can. Loads no engine.

    Args:
        features: of the processor (see `cpu.Cpu`); those of this machine when None.
    """
    if engine(spec) is None:
        return _missing(spec.kind)
    return cpu.unmet(spec.requires, features)


def no_engine(kind: str) -> str | None:
    """Why nothing here runs models of this kind, in words that follow a model's name; None when something
    does. Loads no engine.
    """
    return _missing(kind) if _installed(kind) is None else None


def _missing(kind: str) -> str:
    return f"has no engine here: pip install 'edge-runtime[{kind}]'"
