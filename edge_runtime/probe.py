"""On what the encoders of a bundle really run here, found out by loading them.

Asking an engine what it was built with is not enough: a library may be missing behind it, or hardware. Each
encoder is loaded in a process of its own, for drivers crash.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime import device_config, encoders, process
from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DeviceConfig
from edge_runtime.errors import DeviceWarning, Error


@dataclass(frozen=True, slots=True)
class Probe:
    """One encoder, loaded.

    Attributes:
        encoder: its id.
        engine: as `Encoder.engine`; None when it could not be loaded.
        problems: what of the configuration could not be had, and why; or why it could not be loaded.
    """

    encoder: str
    engine: str | None
    problems: tuple[str, ...]


def accelerated(directory: str | os.PathLike[str], config: DeviceConfig) -> tuple[Probe, ...]:
    """The encoders of a bundle that `config` wants on something else than the CPU.

    Args:
        directory: the bundle, whose signer was checked; every file is hashed before an engine sees one.
        config: the device's, as it was read.

    Raises:
        BundleError: the bundle cannot be used.
    """
    if not any(config.accelerators(kind) for kind in ("onnx", "tflite")):
        return ()
    bundle = Bundle.open(directory, verify="full")
    specs = bundle.manifest.encoders
    bundle.close()
    return tuple(_probes(os.fspath(directory), [s.id for s in specs if config.accelerators(s.kind)]))


def main() -> None:
    """Takes the bundle's directory and an encoder's id as JSON on stdin; prints its engine as JSON."""
    process.reply(lambda request: {"engine": _load(request["bundle"], request["encoder"])})


def _probes(directory: str, names: list[str]) -> Iterator[Probe]:
    for name in names:
        engine, problems = None, []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DeviceWarning)
            try:
                request = {"bundle": directory, "encoder": name}
                engine = str(process.call("probe", request, about=f"encoder {name}")["engine"])
            except Error as error:
                problems.append(str(error))
        problems += [str(each.message) for each in caught]
        yield Probe(name, engine, tuple(problems))


def _load(directory: str, name: str) -> str:
    bundle = Bundle.open(directory, verify="size")
    try:
        encoder = encoders.load(bundle, bundle.manifest.encoder(name), config=device_config.read())
        encoder.close()
        return encoder.engine
    finally:
        bundle.close()
