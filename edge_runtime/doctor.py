"""Whether this device has what a bundle will need of it: memory, processor, engines, a steady clock.

Nothing is measured: `calibrate` and `bench` do that. Engines are loaded only where the device's configuration
wants an accelerator (see `probe`). A problem keeps the bundle from
working here; a warning makes it slower, or makes figures that are measured here weaker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_runtime import choice, cpu, device_config, encoders, faiss_library, languages
from edge_runtime.bundle import check_signer
from edge_runtime.device import Condition, Device
from edge_runtime.device_config import DeviceConfig
from edge_runtime.errors import ConfigError, SignatureError
from edge_runtime.manifest import EncoderSpec, Manifest
from edge_runtime.probe import Probe

PROCESS_BYTES = {"onnx": 48_000_000, "tflite": 45_000_000, "static": 32_000_000}
"""What a process cannot give back while it answers, by kind of encoder: three layers, measured on x86-64."""

HOT_CELSIUS = 80.0
"""A Raspberry Pi slows down from here on."""

MACHINES = ("aarch64", "arm64", "x86_64", "AMD64")
PAGE_BYTES = (4096, 16384)

BAD_ON_ARM = {"onnxruntime": ("1.20.0", "1.21.0", "1.24.0", "1.24.1")}
"""Versions that end in an illegal instruction, or worse, on small ARM boards; as in pyproject.toml."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: in a word or two.
        text: what was found and, unless it is good, what to do.
    """

    level: Literal["good", "warning", "problem"]
    about: str
    text: str


def configuration() -> tuple[Finding, DeviceConfig]:
    """What device.yaml asks for; the defaults where it is broken, so that the rest can be examined."""
    try:
        config = device_config.read()
    except ConfigError as error:
        return Finding("problem", "configuration", str(error)), device_config.DEFAULT
    if config == device_config.DEFAULT:
        return Finding("good", "configuration", "the defaults: one thread, on the CPU"), config
    asked = [f"{kind}: {', '.join(names)}" for kind in PROCESS_BYTES if (names := config.accelerators(kind))]
    threads = f"{config.threads} thread{'' if config.threads == 1 else 's'}"
    text = "; ".join([f"{device_config.path()}: {threads}", *asked])
    return Finding("good", "configuration", text), config


def examine(
    device: Device,
    condition: Condition,
    manifest: Manifest | None = None,
    *,
    probes: Sequence[Probe] = (),
) -> tuple[Finding, ...]:
    """Everything that can be told of the device, and of the bundle on it where one is given.

    Args:
        probes: of those encoders of the bundle that were loaded to see what they run on.
    """
    findings = [*_system(device), *_clock(device, condition)]
    if manifest is not None:
        findings += [*_engines(device, manifest, probes), *_libraries(manifest)]
        findings.append(_memory(device, condition, manifest))
    return tuple(findings)


def signature(directory: Path, config: DeviceConfig) -> Finding | None:
    """Whether this device would open a bundle, by who signed it; None where it takes any."""
    try:
        check_signer(directory, config.keys)
    except SignatureError as error:
        return Finding("problem", "signature", str(error))
    return Finding("good", "signature", "by a key that this device trusts") if config.keys else None


def _system(device: Device) -> Iterator[Finding]:
    if device.machine in MACHINES:
        yield Finding("good", "system", f"{device.machine}, {device.python}")
    else:
        text = f"{device.machine}; expected a 64-bit system (aarch64 or x86_64): install one"
        yield Finding("problem", "system", text)
    if device.page_bytes in PAGE_BYTES:
        yield Finding("good", "pages", f"{device.page_bytes // 1024} KiB")
    else:
        yield Finding("warning", "pages", f"{device.page_bytes or '?'} bytes; made for pages of 4 and 16 KiB")
    if cpu.has_dot_product(device.features):
        yield Finding("good", "processor", f"{device.cpu or device.board}, with int8 dot product")
    else:
        text = (
            "no int8 dot product: int8 saves memory here, but hardly time; prefer few layers or a static rung"
        )
        yield Finding("warning", "processor", f"{device.cpu or device.board}, {text}")


def _clock(device: Device, condition: Condition) -> Iterator[Finding]:
    known = condition.throttling
    for when, reasons in (("now", known.now), ("since boot", known.since_boot)) if known else ():
        if reasons:
            yield Finding(
                "warning", "clock", f"{', '.join(reasons)} {when}; look at power supply and cooling"
            )
    if condition.celsius is not None and condition.celsius >= HOT_CELSIUS:
        yield Finding("warning", "heat", f"{condition.celsius:.0f} °C; it will slow down: cool it")
    if device.governor == "powersave":
        yield Finding(
            "warning", "clock", "governor powersave; questions that come seldom are answered slowly"
        )


def _engines(device: Device, manifest: Manifest, probes: Sequence[Probe]) -> Iterator[Finding]:
    """One finding an encoder; a problem only where none can run, or a version is known to be bad."""
    obstacles = {spec.id: encoders.obstacle(spec, device.features) for spec in manifest.encoders}
    level: Literal["warning", "problem"] = "warning" if None in obstacles.values() else "problem"
    loaded = {probe.encoder: probe for probe in probes}
    for spec in manifest.encoders:
        obstacle, about = obstacles[spec.id], f"encoder {spec.id}"
        if obstacle is None and spec.id in loaded:
            probe = loaded[spec.id]
            for problem in probe.problems:
                yield Finding("warning" if probe.engine else "problem", about, problem)
            if probe.engine:
                yield Finding("good", about, probe.engine)
        elif obstacle is None:
            yield Finding("good", about, encoders.engine(spec) or "")
        else:
            yield Finding(level, f"encoder {spec.id}", obstacle)
    if device.machine in ("aarch64", "arm64"):
        for package, versions in BAD_ON_ARM.items():
            if device.versions.get(package) in versions:
                text = f"{device.versions[package]} crashes on small ARM boards; install another version"
                yield Finding("problem", package, text)


def _libraries(manifest: Manifest) -> Iterator[Finding]:
    """Some bundles want one more: in another language than English, or with product codes."""
    spec = manifest.lexical
    if obstacle := languages.obstacle(spec.stemmer, spec.writer.get("snowball")):
        yield Finding("problem", "words", obstacle)
    if obstacle := faiss_library.obstacle(manifest.index.search):
        yield Finding("problem", "vectors", obstacle)


def _opened(device: Device, manifest: Manifest) -> EncoderSpec:
    """The encoder that opening takes: the calibrated one, else the first that can run."""
    chosen = choice.automatic(manifest, config=configuration()[1])
    if chosen.calibration is not None:
        return manifest.encoder(chosen.encoder)
    usable = (spec for spec in manifest.encoders if encoders.obstacle(spec, device.features) is None)
    return next(usable, manifest.encoders[0])


def _memory(device: Device, condition: Condition, manifest: Manifest) -> Finding:
    """What must stay resident for the encoder that opening takes, and what should be: the mapped indexes."""
    sizes = {entry.path: entry.size for entry in manifest.files}
    words = sum(size for path, size in sizes.items() if path.startswith(f"{manifest.lexical.path}/"))
    # Beside product codes the vectors themselves stay on the card, but for some dozen a search.
    dense = [path for path in manifest.index.members if not path.endswith("/vectors.npy")]
    mapped = sum(sizes[path] for path in dense) + words
    needed = PROCESS_BYTES[_opened(device, manifest).kind]
    text = f"{needed / 1e6:.0f} MB for the process, {mapped / 1e6:.0f} MB of mapped indexes"
    available = condition.available_bytes
    if available is None:
        return Finding("warning", "memory", f"{text}; this system does not tell what is available")
    text = f"{text}, {available / 1e6:.0f} MB available"
    if available < needed:
        return Finding("problem", "memory", f"{text}; end other programs, or use a smaller encoder")
    if available < needed + mapped:
        return Finding("warning", "memory", f"{text}; the indexes will be read from the card again and again")
    return Finding("good", "memory", text)
