"""Which encoder opens: the calibrated one while its calibration holds, and the first in every other case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import edge_runtime
from edge_runtime import choice, cpu, encoders, state
from edge_runtime import manifest as manifests
from edge_runtime.bundle import digest
from edge_runtime.choice import Choice
from edge_runtime.errors import EngineError, QueryError
from edge_runtime.ladder import digest as digest_of
from edge_runtime.state import Calibration, Rung
from edge_runtime.version import __version__


@pytest.fixture
def calibrated(ladder: Path, home: Path) -> Path:
    """A bundle whose second encoder, the static one, was chosen on this device; its state file."""
    manifest = manifests.read(ladder / manifests.FILENAME)
    rungs = [Rung(s.id, str(encoders.engine(s)), p50_ms=1.25, p99_ms=2.5) for s in manifest.encoders]
    return state.record(
        manifest.name,
        Calibration(
            bundle=digest_of(manifest),
            encoder="static",
            budget_ms=10.0,
            rungs=tuple(rungs),
            when="2026-01-31T12:00:00+00:00",
            cpu=cpu.describe().name,
            runtime=__version__,
            passages=manifest.index.count,
        ),
    )


def automatic(bundle: Path) -> Choice:
    return choice.automatic(manifests.read(bundle / manifests.FILENAME), bundle)


def opened(bundle: Path, encoder: str | None = None) -> str:
    """The id of the encoder that `open` takes."""
    with edge_runtime.open(bundle, encoder=encoder, verify="size") as retriever:
        assert retriever.search("yeast", k=1)
        return retriever.info().encoder


def test_the_first_without_a_calibration(ladder: Path, home: Path) -> None:
    """Asking leaves no trace."""
    expected = Choice("layers2", None, "the bundle's first; not calibrated on this device")
    assert automatic(ladder) == expected
    assert opened(ladder) == opened(ladder, "auto") == "layers2"
    assert not home.exists()


def test_the_calibrated_one(ladder: Path, calibrated: Path) -> None:
    """With the figures that it was chosen by."""
    found = automatic(ladder)
    assert found.encoder == "static"
    assert found.calibration is not None
    assert found.reason == "calibrated 2026-01-31T12:00:00+00:00: p50 1.25 ms, budget 10 ms"
    assert opened(ladder) == opened(ladder, "auto") == "static"


def test_an_id_overrides_the_calibration(ladder: Path, calibrated: Path) -> None:
    """Whoever names one gets it."""
    assert opened(ladder, "layers2") == "layers2"
    with pytest.raises(QueryError, match="encoder: bundle tiny has layers2, static; found 'layers6'"):
        edge_runtime.open(ladder, encoder="layers6")
    with pytest.raises(QueryError, match="encoder: bundle tiny has layers2, static; found 7"):
        edge_runtime.open(ladder, encoder=7)  # type: ignore[arg-type]


def test_another_bundle_of_that_name_is_not_calibrated(bundle: Path, ladder: Path, calibrated: Path) -> None:
    """A calibration belongs to the bytes that were measured."""
    assert automatic(bundle).reason == "the bundle's first; not calibrated on this device"
    assert opened(bundle) == "layers2"


def changed(bundle: Path, folder: Path, *, passages: int | None = None, **changes: Any) -> Path:
    """A folder with nothing but the manifest of an update: another version, with so many passages."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    if passages is not None:
        changes["index"] = replace(manifest.index, count=passages)
        changes["lexical"] = replace(manifest.lexical, count=passages)
        changes["documents"] = replace(manifest.documents, passages=passages, documents=passages)
    (folder / manifests.FILENAME).write_bytes(manifests.dump(replace(manifest, **changes)))
    return folder


def test_an_update_of_documents_keeps_the_calibration(ladder: Path, calibrated: Path, tmp_path: Path) -> None:
    """Its encoders keep their bytes, and their time, until there are more than twice as many passages."""
    manifest = manifests.read(ladder / manifests.FILENAME)
    count = manifest.index.count
    files = tuple(
        replace(entry, sha256="0" * 64) if entry.path == manifest.documents.path else entry
        for entry in manifest.files
    )
    for passages, encoder in ((count, "static"), (2 * count, "static"), (2 * count + 1, "layers2")):
        update = changed(ladder, tmp_path, passages=passages, version="1.0.9", files=files)
        assert automatic(update).encoder == encoder
    start = "the bundle's first; the calibration of 2026-01-31T12:00:00+00:00 is not used: "
    expected = f"it was made with {count:,} passages, and there are {2 * count + 1:,}"
    assert automatic(update).reason == start + expected


def test_other_encoders_or_another_index_are_not_calibrated(
    ladder: Path, calibrated: Path, tmp_path: Path
) -> None:
    """Other bytes of an encoder or its tokenizer, another prompt, a rung less, another kind of index."""
    manifest = manifests.read(ladder / manifests.FILENAME)
    first, second = manifest.encoders
    other_files = [
        tuple(replace(entry, sha256="0" * 64) if entry.path == path else entry for entry in manifest.files)
        for path in (first.path, second.members[0], second.tokenizer)
    ]
    kind: Any = "hnsw" if manifest.index.search == "exact" else "exact"
    several: list[dict[str, Any]] = [
        *({"files": files} for files in other_files),
        {"encoders": (first, replace(second, prompt="query: "))},
        {"encoders": (second,)},
        {"index": replace(manifest.index, search=kind)},
    ]
    for changes in several:
        found = automatic(changed(ladder, tmp_path, **changes))
        assert found.reason == "the bundle's first; not calibrated on this device"


def test_a_core_that_went_offline(ladder: Path, calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calibration still holds: the board is as fast as it was."""
    content = yaml.safe_load(calibrated.read_text("utf-8"))
    content["calibrations"][0]["cpu"] = "4 x Cortex-A55 + 4 x Cortex-A76"
    calibrated.write_text(yaml.safe_dump(content), "utf-8")
    now = cpu.Cpu("4 x Cortex-A55 + 3 x Cortex-A76", ("asimd",), 7)
    monkeypatch.setattr(cpu, "describe", lambda: now)
    assert automatic(ladder).encoder == "static"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("cpu", "Cortex-A53", "processor was 'Cortex-A53', is "),
        ("cpu", None, "processor was nothing, is "),
        ("runtime", "0.1.9", f"edge-runtime was '0.1.9', is '{__version__}'"),
        ("engine", "numpy 0.9", "engine was 'numpy 0.9', is 'numpy "),
    ],
)
def test_an_outdated_calibration_is_passed_over(
    ladder: Path, calibrated: Path, key: str, value: str | None, problem: str
) -> None:
    """Another processor, another runtime, another version of the chosen rung's engine."""
    content = yaml.safe_load(calibrated.read_text("utf-8"))
    place = content["calibrations"][0]["rungs"][1] if key == "engine" else content["calibrations"][0]
    place[key] = value
    calibrated.write_text(yaml.safe_dump(content), "utf-8")
    found = automatic(ladder)
    assert (found.encoder, found.calibration) == ("layers2", None)
    start = "the bundle's first; the calibration of 2026-01-31T12:00:00+00:00 is not used: "
    assert found.reason.startswith(start + problem)
    assert opened(ladder) == "layers2"


def test_an_encoder_that_the_bundle_does_not_have(ladder: Path, calibrated: Path) -> None:
    """Somebody edited the state."""
    calibrated.write_text(calibrated.read_text("utf-8").replace("static", "statik"), "utf-8")
    assert "the bundle has no encoder 'statik'" in automatic(ladder).reason
    assert opened(ladder) == "layers2"


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"\xff\xfe\x00"),
        lambda file: file.write_bytes(file.read_bytes()[:-40]),
        lambda file: file.write_bytes(b""),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: (file.unlink(), subprocess.run(["mkfifo", file], check=True)),
        lambda file: (file.unlink(), file.symlink_to("/proc/self/mem")),
    ],
    ids=["bytes", "cut", "empty", "directory", "pipe", "unreadable"],
)
def test_a_damaged_state_never_keeps_a_bundle_from_opening(
    ladder: Path, calibrated: Path, spoil: Spoil
) -> None:
    """The first encoder, and the reason for whoever asks."""
    spoil(calibrated)
    found = automatic(ladder)
    assert (found.encoder, found.calibration) == ("layers2", None)
    assert found.reason.startswith(f"the bundle's first; the calibration is not used: {calibrated}: ")
    assert opened(ladder) == "layers2"


def test_an_engine_that_is_gone_does_not_keep_it_from_opening(
    static_bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen with ONNX Runtime, which was uninstalled since: the first, which needs none."""
    manifest = manifests.read(static_bundle / manifests.FILENAME)
    rung = Rung("layers2", str(encoders.engine(manifest.encoders[1])), p50_ms=1.0, p99_ms=2.0)
    name = cpu.describe().name
    state.record(
        "tiny", Calibration(digest(static_bundle), "layers2", 10.0, (rung,), "now", name, __version__)
    )
    assert opened(static_bundle) == "layers2"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert automatic(static_bundle).reason.endswith(f"engine was '{rung.engine}', is nothing")
    assert opened(static_bundle) == "static"


def test_a_processor_that_lacks_what_an_encoder_requires(
    demanding: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passed over where nobody names it, refused with one clear error where somebody does."""
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu("Cortex-A76", ("asimd", "asimddp"), 4))
    assert opened(demanding) == "layers2"
    spec = manifests.read(demanding / manifests.FILENAME).encoder("layers2")
    rung = Rung("layers2", str(encoders.engine(spec)), 1.0, 2.0)
    calibration = Calibration(digest(demanding), "layers2", 10.0, (rung,), "now", "Cortex-A76", __version__)
    state.record("tiny", calibration)
    assert automatic(demanding).calibration == calibration
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu("Cortex-A76", ("asimd",), 4))
    found = automatic(demanding)
    assert found.encoder == opened(demanding) == "static"
    start = "the bundle's first that can run here; the calibration of now is not used: encoder layers2 needs"
    assert found.reason.startswith(start)
    with pytest.raises(
        EngineError, match=r"^encoder layers2 needs a processor with int8 dot product .*int8$"
    ):
        edge_runtime.open(demanding, encoder="layers2")


def older(ladder: Path, calibrated: Path) -> None:
    """Makes the calibration one of an older runtime: by the manifest's digest, without the passages."""
    content = yaml.safe_load(calibrated.read_text("utf-8"))
    content["calibrations"][0]["bundle"] = digest(ladder)
    del content["calibrations"][0]["passages"]
    calibrated.write_text(yaml.safe_dump(content), "utf-8")


def test_a_calibration_of_an_older_runtime(ladder: Path, calibrated: Path, tmp_path: Path) -> None:
    """It still holds for the very bundle, and for no other."""
    older(ladder, calibrated)
    assert automatic(ladder).encoder == "static"
    other = changed(ladder, tmp_path, version="1.0.9")
    assert automatic(other).reason == "the bundle's first; not calibrated on this device"


def test_a_bundle_without_a_manifest_is_no_concern_of_the_choice(ladder: Path, calibrated: Path) -> None:
    """It vanished since it was read."""
    older(ladder, calibrated)
    manifest = manifests.read(ladder / manifests.FILENAME)
    found = choice.automatic(manifest, ladder / "gone")
    assert found.encoder == "layers2"
    assert "manifest.yaml: cannot be read (No such file or directory)" in found.reason
