"""What a device lacks: each finding from a device made for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import cpu, device_config, doctor, encoders, faiss_library, ladder, probe, state
from edge_runtime.bundle import read_manifest
from edge_runtime.cli import main
from edge_runtime.device import Condition, Device, Throttling
from edge_runtime.device_config import DeviceConfig
from edge_runtime.doctor import Finding
from edge_runtime.encoders import tflite
from edge_runtime.manifest import PQ_FILES, EncoderSpec, Manifest
from edge_runtime.probe import Probe
from edge_runtime.signature import PublicKey
from edge_runtime.state import Calibration, Rung
from edge_runtime.version import __version__

PI = Device(
    board="Raspberry Pi 5 Model B Rev 1.0",
    machine="aarch64",
    cpu="Cortex-A76",
    features=("asimd", "asimddp"),
    cores=4,
    page_bytes=16384,
    governor="ondemand",
    memory_bytes=4 << 30,
    os="Debian GNU/Linux 12 (bookworm)",
    kernel="6.6.31",
    python="CPython 3.11.2",
    versions={"onnxruntime": "1.23.2"},
)
COOL = Condition(celsius=48.0, throttling=Throttling((), ()), load=0.1, available_bytes=2 << 30)


@pytest.fixture(scope="module")
def manifest(two_engines: Path) -> Manifest:
    return read_manifest(two_engines)


def told(
    level: str,
    about: str,
    manifest: Manifest | None = None,
    *,
    condition: dict[str, Any] | None = None,
    **device: Any,
) -> str:
    """The text of the only finding that is not good."""
    found = doctor.examine(replace(PI, **device), replace(COOL, **(condition or {})), manifest)
    (finding,) = [each for each in found if each.level != "good"]
    assert (finding.level, finding.about) == (level, about)
    return finding.text


def test_a_sound_device(manifest: Manifest) -> None:
    """Every line is good, and each encoder has one."""
    findings = doctor.examine(PI, COOL, manifest)
    assert {each.level for each in findings} == {"good"}
    names = ["encoder layers2", "encoder layers2-tflite", "encoder static"]
    assert [each.about for each in findings] == ["system", "pages", "processor", *names, "memory"]
    assert [each.about for each in doctor.examine(PI, COOL)] == ["system", "pages", "processor"]


def test_the_system() -> None:
    """32 bits do not work; pages of 64 KiB were not tried; without dot product int8 is not fast."""
    assert told("problem", "system", machine="armv7l").startswith("armv7l; expected a 64-bit system")
    assert told("warning", "pages", page_bytes=65536) == "65536 bytes; made for pages of 4 and 16 KiB"
    assert told("warning", "pages", page_bytes=None) == "? bytes; made for pages of 4 and 16 KiB"
    assert told("warning", "processor", features=("asimd",)).startswith("Cortex-A76, no int8 dot product")


def test_the_clock() -> None:
    """What slows it down now or did since it started."""
    now = {"throttling": Throttling(("under-voltage", "throttled"), ())}
    assert told("warning", "clock", condition=now).startswith("under-voltage, throttled now; look at power")
    before = {"throttling": Throttling((), ("throttled",))}
    assert told("warning", "clock", condition=before).startswith("throttled since boot; look at power")
    assert told("warning", "heat", condition={"celsius": 81.4}).startswith("81 °C; it will slow down")
    assert told("warning", "clock", governor="powersave").startswith("governor powersave")


def test_engines(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing is a warning as long as another encoder can run."""

    def engine(spec: EncoderSpec) -> str | None:
        return None if spec.kind == "tflite" else "engine 1.0"

    monkeypatch.setattr(encoders, "engine", engine)
    expected = "has no engine here: pip install 'edge-runtime[tflite]'"
    assert told("warning", "encoder layers2-tflite", manifest) == expected
    monkeypatch.setattr(encoders, "engine", lambda _: None)
    single = replace(manifest, encoders=manifest.encoders[:1])
    assert told("problem", "encoder layers2", single).endswith("'edge-runtime[onnx]'")


def test_a_processor_that_lacks_what_an_encoder_requires(manifest: Manifest) -> None:
    """That of the device, not of the machine that looks; memory is counted for the encoder that will open."""
    first = replace(manifest.encoders[0], requires=("dot_product",))
    demanding = replace(manifest, encoders=(first, *manifest.encoders[1:]))
    assert {each.level for each in doctor.examine(PI, COOL, demanding)} == {"good"}
    found = doctor.examine(replace(PI, features=("asimd",)), COOL, demanding)
    texts = {each.about: (each.level, each.text) for each in found}
    level, text = texts["encoder layers2"]
    assert level == "warning"
    assert text.startswith("needs a processor with int8 dot product")
    assert texts["memory"][1].startswith("45 MB for the process")
    single = replace(manifest, encoders=(first,))
    found = doctor.examine(replace(PI, features=()), COOL, single)
    assert [each.about for each in found if each.level == "problem"] == ["encoder layers2"]


def test_the_configuration(home: Path) -> None:
    """What it asks for; a broken one is a problem, and the rest is examined by the defaults."""
    expected = Finding("good", "configuration", "the defaults: one thread, on the CPU")
    assert doctor.configuration() == (expected, DeviceConfig())
    home.mkdir()
    file = home / "device.yaml"
    file.write_text("threads: 2\nonnx: {providers: [CUDAExecutionProvider]}", "utf-8")
    found, config = doctor.configuration()
    assert (found.level, found.text) == ("good", f"{file}: 2 threads; onnx: CUDAExecutionProvider")
    assert config.threads == 2
    file.write_text("threads: many", "utf-8")
    found, config = doctor.configuration()
    assert (found.level, config) == ("problem", DeviceConfig())
    assert found.text.startswith(f"{file}: threads: expected a whole number")


def test_what_would_really_run(manifest: Manifest, two_engines: Path, home: Path) -> None:
    """Loaded in processes of their own: what was asked for and is not there, then what runs instead."""
    assert probe.accelerated(two_engines, DeviceConfig(threads=2)) == ()
    home.mkdir()
    (home / "device.yaml").write_text("tflite: {delegates: [{library: /missing.so}]}", "utf-8")
    (found,) = probe.accelerated(two_engines, device_config.read())
    assert (found.encoder, found.engine) == ("layers2-tflite", tflite.installed())
    findings = doctor.examine(PI, COOL, manifest, probes=[found])
    told = [(each.level, each.text) for each in findings if each.about == "encoder layers2-tflite"]
    assert told == [("warning", found.problems[0]), ("good", tflite.installed())]
    assert found.problems[0].endswith("; XNNPACK on the CPU runs instead")


def test_a_bundle_that_nobody_trusted_has_signed(
    two_engines: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would not open, so its models are not loaded, and that is a problem."""
    monkeypatch.setattr(probe, "accelerated", None)
    key = PublicKey(bytes(8), bytes(32))
    home.mkdir(exist_ok=True)
    (home / "device.yaml").write_text(f"trusted_keys: ['{key.line()}']\n", "utf-8")
    assert main(["doctor", str(two_engines)]) == 1
    expected = f"problem  signature: {two_engines}: not signed; this device trusts {key}"
    assert any(line.startswith(expected) for line in capsys.readouterr().out.splitlines())


def test_a_device_that_takes_any_bundle(two_engines: Path) -> None:
    """Says nothing of signatures."""
    assert doctor.signature(two_engines, DeviceConfig()) is None


def test_an_encoder_that_cannot_be_loaded(manifest: Manifest) -> None:
    """A driver crashed: a problem, for opening would end the same way."""
    crashed = Probe("layers2", None, ("encoder layers2: a new process was killed by SIGSEGV",))
    findings = doctor.examine(PI, COOL, manifest, probes=[crashed])
    (bad,) = [each for each in findings if each.level != "good"]
    assert (bad.level, bad.about, bad.text) == ("problem", "encoder layers2", crashed.problems[0])


def test_versions_that_crash(manifest: Manifest) -> None:
    """Only on ARM."""
    versions = {"onnxruntime": "1.21.0"}
    assert told("problem", "onnxruntime", manifest, versions=versions).startswith(
        "1.21.0 crashes on small ARM"
    )
    findings = doctor.examine(replace(PI, machine="x86_64", versions=versions), COOL, manifest)
    assert {each.level for each in findings} == {"good"}


def test_a_language_that_wants_a_library(manifest: Manifest) -> None:
    """The installed Snowball must be the one that cut the words of the bundle."""
    words = replace(manifest.lexical, stemmer="german", writer={**manifest.lexical.writer, "snowball": "2.2"})
    found = told("problem", "words", replace(manifest, lexical=words))
    assert found.startswith("words were cut by Snowball 2.2, ")


def test_product_codes_want_a_library(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """And say which."""
    monkeypatch.setattr(faiss_library, "find_spec", lambda _: None)
    listed = [replace(manifest.files[0], path=f"dense/{name}") for name in PQ_FILES]
    codes = replace(manifest.index, search="pq", path="dense")
    found = told("problem", "vectors", replace(manifest, index=codes, files=(*manifest.files, *listed)))
    assert found.endswith("pip install 'edge-runtime[faiss]'")


def test_memory(manifest: Manifest) -> None:
    """Too little for the process; too little for the indexes as well; not told."""
    process = doctor.PROCESS_BYTES["onnx"]
    little = {"available_bytes": process - 1}
    assert "end other programs" in told("problem", "memory", manifest, condition=little)
    just = {"available_bytes": process}
    assert "read from the card again and again" in told("warning", "memory", manifest, condition=just)
    assert "does not tell" in told("warning", "memory", manifest, condition={"available_bytes": None})
    table = replace(manifest, encoders=tuple(spec for spec in manifest.encoders if spec.kind == "static"))
    assert {each.level for each in doctor.examine(PI, replace(COOL, **just), table)} == {"good"}


def test_memory_is_that_of_the_calibrated_encoder(manifest: Manifest, home: Path) -> None:
    """Not of the bundle's first, where another one opens."""
    static = next(spec for spec in manifest.encoders if spec.kind == "static")
    just: dict[str, Any] = {"available_bytes": doctor.PROCESS_BYTES["static"] + 10_000_000}
    assert "end other programs" in told("problem", "memory", manifest, condition=just)
    rung = Rung(static.id, str(encoders.engine(static)), p50_ms=1.0, p99_ms=2.0)
    calibration = Calibration(
        bundle=ladder.digest(manifest),
        encoder=static.id,
        budget_ms=10.0,
        rungs=(rung,),
        when="now",
        cpu=cpu.describe().name,
        runtime=__version__,
        passages=manifest.index.count,
    )
    state.record(manifest.name, calibration)
    findings = doctor.examine(PI, replace(COOL, **just), manifest)
    assert {each.level for each in findings} == {"good"}
    assert findings[-1].text.startswith("32 MB for the process")
