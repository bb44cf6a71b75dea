"""TFLite delegates: one that works, compiled here, and libraries that are missing or something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime import manifest as manifests
from edge_runtime.device_config import Delegate
from edge_runtime.encoders import tflite
from edge_runtime.encoders.tflite import TfliteEncoder
from edge_runtime.errors import DeviceWarning, EngineError
from edge_runtime.manifest import EncoderSpec
from tests import delegates

INSTEAD = "XNNPACK on the CPU runs instead"


@pytest.fixture(scope="module")
def spec(two_engines: Path) -> EncoderSpec:
    return manifests.read(two_engines / manifests.FILENAME).encoder("layers2-tflite")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A delegate that takes no operator; its option ``mode`` makes it fail."""
    return delegates.compiled(tmp_path_factory.mktemp("delegate"))


def test_a_delegate_that_works(two_engines: Path, spec: EncoderSpec, library: str) -> None:
    """It is named behind the version, and the vectors are what they should be."""
    plain = TfliteEncoder.load(two_engines / spec.path, spec)
    loaded = TfliteEncoder.load(two_engines / spec.path, spec, delegates=[Delegate(library)])
    assert loaded.engine == f"{tflite.installed()} (libdelegate.so)"
    assert plain.engine == tflite.installed()
    assert float(loaded.encode([2, 70, 3]) @ plain.encode([2, 70, 3])) > 0.99
    loaded.close()


@pytest.mark.parametrize(("mode", "problem"), [("absent", "no such device"), ("refuse", ".+")])
def test_a_delegate_that_fails(
    two_engines: Path, spec: EncoderSpec, library: str, mode: str, problem: str
) -> None:
    """As it is made, or as it meets the model: one warning, and XNNPACK runs."""
    asked = [Delegate(library, {"mode": mode})]
    with pytest.warns(DeviceWarning, match=rf"cannot be used here \({problem}\); {INSTEAD}") as caught:
        loaded = TfliteEncoder.load(two_engines / spec.path, spec, delegates=asked)
    assert (len(caught), loaded.engine) == (1, tflite.installed())
    assert np.linalg.norm(loaded.encode([2, 70, 3])) == pytest.approx(1, abs=1e-5)


def test_libraries_that_are_no_delegate(tmp_path: Path, two_engines: Path, spec: EncoderSpec) -> None:
    """Not there, not a library, a library of something else: a warning each, the encoder runs."""
    (tmp_path / "text.so").write_text("hello", "utf-8")
    for name, problem in (
        (str(tmp_path / "missing.so"), "No such file"),
        (str(tmp_path / "text.so"), "text.so: "),
        (str(tmp_path), "directory"),
        ("libc.so.6", "no TFLite delegate: it has no tflite_plugin_create_delegate"),
    ):
        expected = f"device.yaml asks for the delegate {name}, which .*{problem}.*; {INSTEAD}"
        with pytest.warns(DeviceWarning, match=expected) as caught:
            loaded = TfliteEncoder.load(two_engines / spec.path, spec, delegates=[Delegate(name)])
        assert (len(caught), loaded.engine) == (1, tflite.installed())
        loaded.close()


def test_one_of_two_delegates(two_engines: Path, spec: EncoderSpec, library: str) -> None:
    """The one that is there runs."""
    asked = [Delegate("/missing.so"), Delegate(library)]
    with pytest.warns(DeviceWarning, match="the delegate /missing.so") as caught:
        loaded = TfliteEncoder.load(two_engines / spec.path, spec, delegates=asked)
    assert (len(caught), loaded.engine) == (1, f"{tflite.installed()} (libdelegate.so)")
    loaded.close()


def test_a_file_that_is_no_encoder(tmp_path: Path, spec: EncoderSpec, library: str) -> None:
    """The file is at fault: it is refused without the delegate as well."""
    (tmp_path / "m.tflite").write_bytes(b"garbage" * 99)
    with pytest.warns(DeviceWarning), pytest.raises(EngineError, match="refuses this encoder"):
        TfliteEncoder.load(tmp_path / "m.tflite", spec, delegates=[Delegate(library)])
