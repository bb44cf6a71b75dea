"""ONNX Runtime on what a device asks for: what it has, what it was not built with, and what fails.

AzureExecutionProvider is in every build of ONNX Runtime here and takes no operator of these models, so it
stands for an accelerator that can be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import edge_runtime
from edge_runtime import choice, device_config, encoders
from edge_runtime import manifest as manifests
from edge_runtime.calibrate import calibrate
from edge_runtime.device_config import DeviceConfig, OnnxConfig, Provider
from edge_runtime.encoders.onnx import OnnxEncoder
from edge_runtime.errors import DeviceWarning, EngineError
from edge_runtime.manifest import EncoderSpec

AZURE, CUDA = Provider("AzureExecutionProvider"), Provider("CUDAExecutionProvider", {"device_id": 0})
VERSION = f"onnxruntime {onnxruntime.__version__}"

pytestmark = pytest.mark.skipif(
    onnxruntime.get_available_providers() != [AZURE.name, device_config.CPU],
    reason="another build of ONNX Runtime",
)


@pytest.fixture(scope="module")
def spec(bundle: Path) -> EncoderSpec:
    return manifests.read(bundle / manifests.FILENAME).encoders[0]


def test_a_provider_that_runs_is_named(bundle: Path, spec: EncoderSpec) -> None:
    """Behind the version; without one there is the version alone."""
    loaded = OnnxEncoder.load(bundle / spec.path, spec, providers=[AZURE])
    plain = OnnxEncoder.load(bundle / spec.path, spec)
    assert loaded.engine == f"{VERSION} (AzureExecutionProvider)"
    assert plain.engine == VERSION
    assert np.array_equal(loaded.encode([2, 70, 3]), plain.encode([2, 70, 3]))


def test_a_provider_that_it_was_not_built_with(bundle: Path, spec: EncoderSpec) -> None:
    """Left out with one warning that says what runs; the next in order does."""
    problem = "device.yaml asks for CUDAExecutionProvider, which .* was not built with .it has Azure"
    with pytest.warns(DeviceWarning, match=f"{problem}.*; CPUExecutionProvider runs instead") as caught:
        loaded = OnnxEncoder.load(bundle / spec.path, spec, providers=[CUDA])
    assert (len(caught), loaded.engine) == (1, VERSION)
    runs = "; AzureExecutionProvider, CPUExecutionProvider runs instead"
    with pytest.warns(DeviceWarning, match=runs) as caught:
        loaded = OnnxEncoder.load(bundle / spec.path, spec, providers=[CUDA, AZURE])
    assert (len(caught), loaded.engine) == (1, f"{VERSION} (AzureExecutionProvider)")


@pytest.mark.parametrize("silent", [False, True])
def test_a_provider_that_fails(
    bundle: Path, spec: EncoderSpec, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """By an exception, or left out by ONNX Runtime without one; the other accelerator stays."""
    real = onnxruntime.InferenceSession

    def session(path: str, options: Any, *, providers: Sequence[Any], **rest: Any) -> Any:
        names = [each if isinstance(each, str) else each[0] for each in providers]
        if CUDA.name in names and not silent:
            raise RuntimeError("CUDA failure 100: no device\nat line 5")
        kept = [each for each in providers if each == device_config.CPU or each[0] != CUDA.name]
        return real(path, options, providers=kept, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA.name, AZURE.name])
    why = "it says no more" if silent else "CUDA failure 100: no device"
    with pytest.warns(DeviceWarning, match=rf"cannot use here \({why}\); Azure") as caught:
        loaded = OnnxEncoder.load(bundle / spec.path, spec, providers=[CUDA, AZURE])
    assert (len(caught), loaded.engine) == (1, f"{VERSION} (AzureExecutionProvider)")
    with pytest.warns(DeviceWarning, match="; CPUExecutionProvider runs instead"):
        assert OnnxEncoder.load(bundle / spec.path, spec, providers=[CUDA]).engine == VERSION


def test_a_file_that_no_provider_takes(
    tmp_path: Path, spec: EncoderSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    """The file is at fault, not the providers: an error, no warning, nothing on stdout."""
    (tmp_path / "m.onnx").write_bytes(b"garbage")
    with pytest.raises(EngineError, match=r"m.onnx: onnxruntime [0-9.]+ refuses encoder [a-z0-9]+ \("):
        OnnxEncoder.load(tmp_path / "m.onnx", spec, providers=[AZURE, CUDA])
    assert capfd.readouterr().out == ""


def test_opening_obeys_the_device(bundle: Path, home: Path) -> None:
    """And `info` shows it; what is asked for is in the engine's name that calibrations keep."""
    home.mkdir()
    (home / "device.yaml").write_text("onnx: {providers: [AzureExecutionProvider]}", "utf-8")
    with edge_runtime.open(bundle) as retriever:
        assert retriever.info().engine == f"{VERSION} (AzureExecutionProvider)"
        assert retriever.search("yeast", k=1)


def test_another_configuration_outdates_a_calibration(bundle: Path, home: Path, spec: EncoderSpec) -> None:
    """It was measured on something else."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    asked = DeviceConfig(onnx=OnnxConfig((AZURE.name,)))
    assert encoders.engine(spec, config=asked) == f"{VERSION}, asked for AzureExecutionProvider"
    calibrate(bundle, n=1, warm_up=0)
    assert choice.automatic(manifest, bundle).calibration is not None
    for config, words in ((asked, "AzureExecutionProvider"), (DeviceConfig(threads=2), "2 threads")):
        found = choice.automatic(manifest, bundle, config=config)
        assert found.calibration is None
        assert found.reason.endswith(f"engine was '{VERSION}', is '{VERSION}, asked for {words}'")


def test_a_calibration_warns_of_what_did_not_run(bundle: Path, home: Path, spec: EncoderSpec) -> None:
    """It measures in other processes, whose warnings come back; it holds for this configuration."""
    home.mkdir()
    (home / "device.yaml").write_text("onnx: {providers: [CUDAExecutionProvider]}", "utf-8")
    with pytest.warns(DeviceWarning, match="CPUExecutionProvider runs instead"):
        outcome = calibrate(bundle, n=1, warm_up=0)
    engine = outcome.calibration.rungs[0].engine
    assert engine == f"{VERSION}, asked for CUDAExecutionProvider"
    manifest = manifests.read(bundle / manifests.FILENAME)
    assert choice.automatic(manifest, bundle, config=device_config.read()).calibration is not None
