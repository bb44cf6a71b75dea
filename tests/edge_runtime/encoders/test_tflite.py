"""The TFLite engine: vectors as ONNX Runtime gives them, padding, threads, and files that are no encoder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

import edge_runtime
from edge_runtime import encoders, residence
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.device_config import DeviceConfig
from edge_runtime.encoders import tflite
from edge_runtime.encoders.tflite import TfliteEncoder
from edge_runtime.errors import ClosedError, EngineError
from edge_runtime.manifest import EncoderSpec

IDS = [2, 70, 41, 32, 3]


@pytest.fixture(scope="module")
def specs(two_engines: Path) -> dict[str, EncoderSpec]:
    found = manifests.read(two_engines / manifests.FILENAME).encoders
    return {spec.id: spec for spec in found}


@pytest.fixture(scope="module")
def spec(specs: dict[str, EncoderSpec]) -> EncoderSpec:
    return specs["layers2-tflite"]


@pytest.fixture(scope="module")
def encoder(two_engines: Path, spec: EncoderSpec) -> Iterator[TfliteEncoder]:
    loaded = TfliteEncoder.load(two_engines / spec.path, spec)
    yield loaded
    loaded.close()


def test_gives_back_pages_of_its_own_mapping_only(
    two_engines: Path, spec: EncoderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another encoder had the same file, until it was closed, anybody's memory may be by now."""
    path = two_engines / spec.path
    first = TfliteEncoder.load(path, spec)
    others = residence.mapped(path)
    given: list[int] = []
    monkeypatch.setattr(residence, "TABLE_BYTES", 0)
    monkeypatch.setattr(residence, "_madvise", lambda: lambda start, size: given.append(start))
    second = TfliteEncoder.load(path, spec)
    own = residence.mapped(path) - others
    first.close()
    second.encode(IDS)
    second.close()
    assert others
    assert own
    assert set(given) == own
    with pytest.raises(ClosedError):
        second.encode(IDS)
    assert len(given) == len(own)  # nothing after the end


def test_the_manifest_has_each_encoder_for_each_engine(specs: dict[str, EncoderSpec]) -> None:
    """A static one once; the first engine's keeps the recipe's id."""
    kinds = {name: (found.kind, found.path, found.lengths) for name, found in specs.items()}
    assert kinds == {
        "layers2": ("onnx", "encoders/layers2/model.onnx", ()),
        "layers2-tflite": ("tflite", "encoders/layers2-tflite.tflite", ()),
        "static": ("static", "encoders/static", ()),
    }
    assert specs["layers2"].max_tokens == 32
    assert specs["layers2-tflite"].max_tokens == 32
    assert set(specs["layers2-tflite"].writer) >= {"litert-torch", "ai-edge-quantizer", "ai-edge-litert"}


def test_both_engines_give_the_same_vectors(two_engines: Path) -> None:
    """From text on, at several lengths."""
    texts = [
        "bread",
        "clean the wound and rest",
        "error E-105 in the antenna of the radio, replace its battery",
    ]
    with edge_runtime.open(two_engines, encoder="layers2") as onnx:
        expected = onnx.encode(texts)
    with edge_runtime.open(two_engines, encoder="layers2-tflite") as retriever:
        found = retriever.encode(texts)
        assert retriever.info().engine.startswith("ai-edge-litert ")
        assert retriever.search("bread dough")[0].metadata["section"] == "bread"
    assert (found * expected).sum(1).min() > 0.97


def test_a_query_does_not_depend_on_the_last_ones_length(
    encoder: TfliteEncoder, spec: EncoderSpec, two_engines: Path
) -> None:
    """Nothing is left of a longer or a shorter one."""
    expected = {}
    for count in (1, 5, 32):
        fresh = TfliteEncoder.load(two_engines / spec.path, spec)
        expected[count] = fresh.encode([2] * count)
        fresh.close()
    for count in (32, 1, 5, 32, 5, 1):
        assert np.array_equal(encoder.encode([2] * count), expected[count])


def test_gives_unit_vectors(encoder: TfliteEncoder, spec: EncoderSpec) -> None:
    """float32, of the manifest's width, length 1, the same for the same ids; ids and order matter."""
    vector = encoder.encode(IDS)
    assert vector.dtype == np.float32
    assert vector.shape == (spec.ndim,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(encoder.encode(IDS), vector)
    assert not np.allclose(encoder.encode([2, 41, 70, 32, 3]), vector)


def test_vectors_are_the_callers_own(encoder: TfliteEncoder) -> None:
    """The next call does not write over the last one's result."""
    first = encoder.encode(IDS)
    kept = first.copy()
    encoder.encode([2, 71, 3])
    assert np.array_equal(first, kept)


def test_many_threads_share_one_encoder(encoder: TfliteEncoder) -> None:
    """Each gets what it would get alone, whatever the length."""
    texts = [[2, *range(40, 40 + n), 3] for n in range(1, 17)]
    expected = [encoder.encode(ids) for ids in texts]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(encoder.encode, texts * 4))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 4, strict=True))


def test_loads_from_a_bundle(two_engines: Path, spec: EncoderSpec) -> None:
    """`encoders.load` picks the engine and finds the file; `engine` names it without loading."""
    opened = Bundle.open(two_engines)
    loaded = encoders.load(opened, spec, config=DeviceConfig(threads=2))
    assert loaded.encode([2, 3]).shape == (32,)
    assert encoders.engine(spec) == loaded.engine == tflite.installed()
    loaded.close()
    opened.close()


@pytest.mark.parametrize("ids", [[], [2] * 33, [10**6], [-(10**6)], [2**40]])
def test_ids_that_the_model_cannot_take_are_one_error(encoder: TfliteEncoder, ids: list[int]) -> None:
    """None, too many, beyond the vocabulary, beyond int32; the next query is answered."""
    with pytest.raises(EngineError, match=r"ai-edge-litert .* failed") as caught:
        encoder.encode(ids)
    assert "\n" not in str(caught.value)
    assert np.linalg.norm(encoder.encode(IDS)) == pytest.approx(1, abs=1e-5)


def test_closed(two_engines: Path, spec: EncoderSpec) -> None:
    """Once is enough, and twice does no harm."""
    loaded = TfliteEncoder.load(two_engines / spec.path, spec)
    loaded.close()
    loaded.close()
    with pytest.raises(ClosedError):
        loaded.encode(IDS)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00\x00\x00\x00TFL3" * 4000, b"\xff" * 10_000])
def test_other_files_are_refused(tmp_path: Path, spec: EncoderSpec, content: bytes) -> None:
    """With the engine's version, which may be what is wrong."""
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(
        EngineError, match=r"m.tflite: ai-edge-litert [0-9.]+ refuses this encoder \("
    ) as caught:
        TfliteEncoder.load(tmp_path / "m.tflite", spec)
    assert "\n" not in str(caught.value)


def test_a_missing_signature(two_engines: Path, spec: EncoderSpec) -> None:
    """The manifest and the model must agree before a query is asked."""
    with pytest.raises(EngineError, match="has the signatures tokens; expected tokens_12; rebuild"):
        TfliteEncoder.load(two_engines / spec.path, replace(spec, lengths=(12, 32)))


def test_another_width(two_engines: Path, spec: EncoderSpec) -> None:
    """Told at the first query, for shapes are not among a signature's words."""
    loaded = TfliteEncoder.load(two_engines / spec.path, replace(spec, ndim=31))
    with pytest.raises(EngineError, match=r"encoder gave shape \(1, 32\); expected \(1, 31\); rebuild"):
        loaded.encode(IDS)


class Model:
    """What an interpreter of some other model would say."""

    def __init__(self, signature: dict[str, list[str]], **_: Any) -> None:
        self.signature = signature

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        return {"tokens": self.signature}


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["input_ids"], ["sentence_embedding"]),
        (["attention_mask", "input_ids", "token_type_ids"], ["sentence_embedding"]),
        (["attention_mask", "input_ids"], ["output_0"]),
    ],
)
def test_other_inputs_or_outputs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: EncoderSpec, inputs: list[str], outputs: list[str]
) -> None:
    """Both are named: what it has, and what it should have."""
    signature = {"inputs": inputs, "outputs": outputs}
    monkeypatch.setattr(litert, "Interpreter", lambda **options: Model(signature, **options))
    expected = (
        f"takes {', '.join(inputs)} and gives {outputs[0]}; expected attention_mask, input_ids and sentence_"
    )
    with pytest.raises(EngineError, match=expected):
        TfliteEncoder.load(tmp_path / "m.tflite", spec)


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if these packages were not installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)


def test_tflite_runtime_where_there_is_no_litert(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    two_engines: Path,
    spec: EncoderSpec,
    encoder: TfliteEncoder,
) -> None:
    """The older package has the same interface; its name and version are told."""
    without(monkeypatch, "ai_edge_litert")
    package, module = ModuleType("tflite_runtime"), ModuleType("tflite_runtime.interpreter")
    module.Interpreter = litert.Interpreter  # type: ignore[attr-defined]
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", module)
    loaded = TfliteEncoder.load(two_engines / spec.path, spec)
    assert loaded.engine == "tflite-runtime"
    assert np.array_equal(loaded.encode(IDS), encoder.encode(IDS))
    loaded.close()


def test_neither_is_installed(monkeypatch: pytest.MonkeyPatch, two_engines: Path, spec: EncoderSpec) -> None:
    """Both are named, and what brings one."""
    without(monkeypatch, "ai_edge_litert", "tflite_runtime")
    assert tflite.installed() is None
    with pytest.raises(
        EngineError, match=r"needs LiteRT \(ai-edge-litert: .*; tflite-runtime: .*'edge-runtime\[tflite\]'"
    ):
        TfliteEncoder.load(two_engines / spec.path, spec)


def test_a_device_with_one_engine_opens_what_it_can_run(
    monkeypatch: pytest.MonkeyPatch, two_engines: Path
) -> None:
    """Not the bundle's first, where that has no engine here; without any, the first says what it needs."""
    without(monkeypatch, "onnxruntime")
    with edge_runtime.open(two_engines) as retriever:
        assert retriever.info().encoder == "layers2-tflite"
    without(monkeypatch, "ai_edge_litert", "tflite_runtime")
    with edge_runtime.open(two_engines) as retriever:
        assert retriever.info().encoder == "static"
    with pytest.raises(EngineError, match="needs ONNX Runtime"):
        edge_runtime.open(two_engines, encoder="layers2")


def test_a_path_that_is_not_utf8(two_engines: Path, tmp_path: Path) -> None:
    """No engine takes it, and that is what is said; a static encoder needs none."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(two_engines, folder)
    for encoder in ("layers2", "layers2-tflite"):
        with pytest.raises(
            EngineError, match="no engine reads it, for its path is not UTF-8; put the bundle"
        ):
            edge_runtime.open(folder, encoder=encoder)
    with edge_runtime.open(folder, encoder="static") as retriever:
        assert retriever.search("yeast", k=1)
