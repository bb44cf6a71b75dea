"""Which encoder ``open(encoder="auto")`` takes: the one calibrated on this device, else the bundle's first.

Nothing that is wrong with the device's state may keep a bundle from opening, so a calibration that cannot
be read, or no longer holds, is passed over; `Choice.reason` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_runtime import cpu, encoders, ladder, state
from edge_runtime.bundle import digest
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.encoder_spec import AUTO
from edge_runtime.errors import BundleError, StateError
from edge_runtime.manifest import Manifest
from edge_runtime.schema import shown
from edge_runtime.state import Calibration
from edge_runtime.version import __version__


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder and why it is that one.

    Attributes:
        encoder: its id.
        calibration: what it was chosen by; None when it is the bundle's first.
        reason: in words, for people.
    """

    encoder: str
    calibration: Calibration | None
    reason: str


def automatic(manifest: Manifest, directory: Path | None = None, *, config: DeviceConfig = DEFAULT) -> Choice:
    """The encoder for a bundle on this device. Raises no error of ours.

    Args:
        manifest: the bundle's.
        directory: the bundle's; a calibration of an older runtime is known by its manifest.yaml alone.
        config: the device's.
    """
    try:
        calibration = _calibration(manifest, directory)
    except (StateError, BundleError) as error:
        return _first(manifest, f"the calibration is not used: {error}")
    if calibration is None:
        return _first(manifest, "not calibrated on this device")
    problem = _outdated(calibration, manifest, config)
    if problem:
        return _first(manifest, f"the calibration of {calibration.when} is not used: {problem}")
    rung = calibration.chosen
    figures = f"p50 {rung.p50_ms:.3g} ms, budget {calibration.budget_ms:g} ms"
    return Choice(calibration.encoder, calibration, f"calibrated {calibration.when}: {figures}")


def resolve(
    manifest: Manifest, directory: Path, encoder: str | None, *, config: DeviceConfig = DEFAULT
) -> str:
    """The id that `encoder` stands for: "auto" and None are `automatic`, anything else is an id already."""
    if encoder is None or encoder == AUTO:
        return automatic(manifest, directory, config=config).encoder
    return encoder


def _calibration(manifest: Manifest, directory: Path | None) -> Calibration | None:
    """That of the same encoders over such an index, whatever the documents.

    Raises:
        StateError, BundleError: as `state.read` and `digest`.
    """
    known = state.read(manifest.name)
    if not known.calibrations:
        return None
    found = known.calibration(ladder.digest(manifest), manifest.index.count)
    if found is None and directory and any(older.passages is None for older in known.calibrations):
        return known.calibration(digest(directory))
    return found


def _first(manifest: Manifest, why: str) -> Choice:
    """The first that this device can run; where it can run none at all, opening the first says why."""
    first = manifest.encoders[0]
    usable = next((spec for spec in manifest.encoders if encoders.obstacle(spec) is None), first)
    passed_over = "" if usable is first else " that can run here"
    return Choice(usable.id, None, f"the bundle's first{passed_over}; {why}")


def _outdated(calibration: Calibration, manifest: Manifest, config: DeviceConfig) -> str:
    """What has changed since the measurement; empty when nothing has."""
    spec = next((spec for spec in manifest.encoders if spec.id == calibration.encoder), None)
    if spec is None:
        return f"the bundle has no encoder {shown(calibration.encoder)}"
    passages, count = calibration.passages, manifest.index.count
    if passages is not None and not calibration.holds_for(count):
        return f"it was made with {passages:,} passages, and there are {count:,}"
    processor = cpu.describe().name
    if not cpu.same_kinds(calibration.cpu, processor):
        return f"processor was {shown(calibration.cpu)}, is {shown(processor)}"
    measured = (calibration.runtime, calibration.chosen.engine)
    present = (__version__, encoders.engine(spec, config=config))
    for thing, then, now in zip(("edge-runtime", "engine"), measured, present, strict=True):
        if then != now:
            return f"{thing} was {shown(then)}, is {shown(now)}"
    unmet = cpu.unmet(spec.requires)
    return f"encoder {spec.id} {unmet}" if unmet else ""
