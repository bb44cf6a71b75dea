"""Token ids to unit vectors, and models that are not what they should be."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import cpu, encoders
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.encoders import session
from edge_runtime.encoders.onnx import OnnxEncoder
from edge_runtime.errors import EngineError
from edge_runtime.manifest import EncoderSpec

INPUTS = ("input_ids", "attention_mask")
UNIT = (0.6, 0.0, 0.8)


@pytest.fixture(scope="module")
def spec(bundle: Path) -> EncoderSpec:
    return manifests.read(bundle / manifests.FILENAME).encoders[0]


@pytest.fixture(scope="module")
def encoder(bundle: Path, spec: EncoderSpec) -> Iterator[OnnxEncoder]:
    loaded = OnnxEncoder.load(bundle / spec.path, spec)
    yield loaded
    loaded.close()


def test_gives_unit_vectors(encoder: OnnxEncoder, spec: EncoderSpec) -> None:
    """float32, of the manifest's width, length 1, the same for the same ids."""
    vector = encoder.encode([2, 70, 132, 3])
    assert vector.dtype == np.float32
    assert vector.shape == (spec.ndim,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(encoder.encode([2, 70, 132, 3]), vector)
    assert not np.array_equal(encoder.encode([2, 132, 70, 70, 3]), vector)


def test_vectors_are_the_callers_own(encoder: OnnxEncoder) -> None:
    """The next call does not write over the last one's result."""
    first = encoder.encode([2, 70, 3])
    kept = first.copy()
    encoder.encode([2, 71, 3])
    assert np.array_equal(first, kept)


def test_says_what_runs_it(encoder: OnnxEncoder) -> None:
    """Name and version of the engine."""
    import onnxruntime

    assert encoder.engine == f"onnxruntime {onnxruntime.__version__}"


def test_many_threads_share_one_encoder(encoder: OnnxEncoder) -> None:
    """Each gets what it would get alone."""
    texts = [[2, *range(70, 70 + n), 3] for n in range(1, 17)]
    expected = [encoder.encode(ids) for ids in texts]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(encoder.encode, texts * 4))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 4, strict=True))


def test_more_threads_change_no_vector_much(bundle: Path, spec: EncoderSpec, encoder: OnnxEncoder) -> None:
    """Sums in another order, nothing else."""
    wide = OnnxEncoder.load(bundle / spec.path, spec, threads=2)
    assert np.allclose(wide.encode([2, 70, 3]), encoder.encode([2, 70, 3]), atol=1e-4)
    wide.close()


@pytest.mark.parametrize(
    ("features", "unsigned"),
    [(("sse4_1", "avx2"), True), ((), True), (("avx2", "avx_vnni"), False), (("avx512_vnni",), False)],
)
def test_products_that_would_overflow_are_of_unsigned_numbers(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], unsigned: bool
) -> None:
    """Without VNNI only: ONNX Runtime would take them with VNNI, too, where they take half as long again."""
    import onnxruntime

    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu(None, features, 2))
    options = session._options(onnxruntime, 1)
    try:
        found = options.get_session_config_entry("session.x64quantprecision")
    except RuntimeError:  # there is no such entry
        found = "0"
    assert found == ("1" if unsigned else "0")


def test_loads_from_a_bundle(bundle: Path) -> None:
    """`encoders.load` picks the engine and finds the file."""
    opened = Bundle.open(bundle)
    loaded = encoders.load(opened, opened.manifest.encoders[0])
    assert loaded.encode([2, 3]).shape == (32,)
    loaded.close()
    opened.close()


def test_a_model_of_one_file(bundle: Path, tmp_path: Path, spec: EncoderSpec, encoder: OnnxEncoder) -> None:
    """As bundles had them before weights got a file of their own."""
    onnx.save(onnx.load(str(bundle / spec.path)), str(tmp_path / "m.onnx"))
    single = OnnxEncoder.load(tmp_path / "m.onnx", replace(spec, weights=None))
    assert np.array_equal(single.encode([2, 70, 3]), encoder.encode([2, 70, 3]))
    single.close()


def test_weights_outside_of_the_bundle_are_refused(bundle: Path, tmp_path: Path, spec: EncoderSpec) -> None:
    """A model cannot name a file that the manifest cannot list."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights.bin").write_bytes((bundle / str(spec.weights)).read_bytes())
    changed = onnx.load(str(bundle / spec.path), load_external_data=False)
    for tensor in changed.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../weights.bin" if entry.key == "location" else entry.value
    (tmp_path / "inner/m.onnx").write_bytes(changed.SerializeToString())
    with pytest.raises(EngineError, match="refuses encoder layers2"):
        OnnxEncoder.load(tmp_path / "inner/m.onnx", spec)


@pytest.mark.parametrize("ids", [[], [10**6], [-(10**6)], [2] * 5000])
def test_ids_that_the_model_cannot_take_are_one_error(encoder: OnnxEncoder, ids: list[int]) -> None:
    """None at all, beyond the vocabulary, more than there are positions."""
    with pytest.raises(EngineError) as caught:
        encoder.encode(ids)
    assert "\n" not in str(caught.value)


def model(
    path: Path,
    values: Sequence[float] = UNIT,
    *,
    inputs: Sequence[str] = INPUTS,
    output: str = "sentence_embedding",
    kind: int = TensorProto.INT64,
    node: onnx.NodeProto | None = None,
) -> Path:
    """Writes a model that gives `values` whatever it is asked, or what `node` makes of its inputs."""
    table = numpy_helper.from_array(np.array([values], np.float32), "table")
    graph = helper.make_graph(
        [node or helper.make_node("Identity", ["table"], [output])],
        "constant",
        [helper.make_tensor_value_info(name, kind, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [table],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture
def narrow(spec: EncoderSpec) -> EncoderSpec:
    return replace(spec, ndim=3)


@pytest.mark.parametrize("inputs", [INPUTS[:1], INPUTS])
def test_a_model_of_the_right_shape_is_taken(
    tmp_path: Path, narrow: EncoderSpec, inputs: Sequence[str]
) -> None:
    """So that the refusals below are for their own reasons. Older ones take a mask, too."""
    loaded = OnnxEncoder.load(model(tmp_path / "m.onnx", inputs=inputs), narrow)
    assert loaded.encode([1]).tolist() == pytest.approx(UNIT)


def test_a_mask_is_all_ones(tmp_path: Path, narrow: EncoderSpec) -> None:
    """A query has no padding."""
    cast = helper.make_node("Cast", ["attention_mask"], ["sentence_embedding"], to=TensorProto.FLOAT)
    loaded = OnnxEncoder.load(model(tmp_path / "m.onnx", node=cast), narrow)
    with pytest.raises(EngineError, match="vector of squared length 3"):
        loaded.encode([5, 6, 7])


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07" * 4000, b"\xff" * 10_000])
def test_other_files_are_refused(tmp_path: Path, spec: EncoderSpec, content: bytes) -> None:
    """With the engine's version, which may be what is wrong."""
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(
        EngineError, match=r"m.onnx: onnxruntime [0-9.]+ refuses encoder layers2 \("
    ) as caught:
        OnnxEncoder.load(tmp_path / "m.onnx", spec)
    assert "\n" not in str(caught.value)


def test_half_a_model_is_refused(bundle: Path, tmp_path: Path, spec: EncoderSpec) -> None:
    """A file cut short, should somebody hash it anew."""
    data = (bundle / spec.path).read_bytes()
    (tmp_path / "m.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(EngineError, match="refuses encoder layers2"):
        OnnxEncoder.load(tmp_path / "m.onnx", spec)


def test_another_width_is_refused_as_it_opens(bundle: Path, spec: EncoderSpec) -> None:
    """The manifest and the model must agree before a query is asked."""
    with pytest.raises(EngineError, match=r"sentence_embedding has shape .*; expected \(n, 31\); rebuild"):
        OnnxEncoder.load(bundle / spec.path, replace(spec, ndim=31))


@pytest.mark.parametrize("inputs", [INPUTS[1:], (*INPUTS, "token_type_ids"), ("ids", "mask")])
def test_other_inputs_are_refused(tmp_path: Path, narrow: EncoderSpec, inputs: Sequence[str]) -> None:
    """Both are named: those it takes, those it should take."""
    path = model(tmp_path / "m.onnx", inputs=inputs)
    with pytest.raises(
        EngineError, match=f"takes {', '.join(inputs)} and gives sentence_embedding; expected"
    ):
        OnnxEncoder.load(path, narrow)


def test_other_types_are_refused(tmp_path: Path, narrow: EncoderSpec) -> None:
    """int32 ids would fail at the first query."""
    with pytest.raises(EngineError, match="of int64"):
        OnnxEncoder.load(model(tmp_path / "m.onnx", kind=TensorProto.INT32), narrow)


def test_another_output_is_refused(tmp_path: Path, narrow: EncoderSpec) -> None:
    """The output goes by its name, not its place."""
    with pytest.raises(EngineError, match="gives last_hidden_state; expected"):
        OnnxEncoder.load(model(tmp_path / "m.onnx", output="last_hidden_state"), narrow)


def test_a_width_known_only_at_run_time_is_checked_then(tmp_path: Path, spec: EncoderSpec) -> None:
    """A model may leave its width open."""
    cast = helper.make_node("Cast", ["input_ids"], ["sentence_embedding"], to=TensorProto.FLOAT)
    loaded = OnnxEncoder.load(model(tmp_path / "m.onnx", node=cast), replace(spec, ndim=4))
    with pytest.raises(EngineError, match=r"encoder gave shape \(1, 3\); expected \(1, 4\); rebuild"):
        loaded.encode([1, 0, 0])


@pytest.mark.parametrize("values", [(0, 0, 0), (1, 1, 1), (float("nan"), 0, 1), (float("inf"), 0, 0)])
def test_a_vector_not_of_unit_length_is_refused(
    tmp_path: Path, narrow: EncoderSpec, values: Sequence[float]
) -> None:
    """It would be ranked, silently, by nonsense."""
    loaded = OnnxEncoder.load(model(tmp_path / "m.onnx", values), narrow)
    with pytest.raises(EngineError, match="expected 1; rebuild the bundle"):
        loaded.encode([1])


def test_the_installed_version_is_that_which_loads(encoder: OnnxEncoder) -> None:
    """Told from the package's folder, without importing it."""
    assert session.installed() == encoder.engine


def test_no_engine_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither found, nor found and refused."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert session.installed() is None
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert session.installed() is None


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["onnxruntime_gpu-1.18.0"], "onnxruntime 1.18.0"),
        (["onnxruntime-1.23.2", "onnxruntime_gpu-1.18.0"], "onnxruntime 1.23.2 1.18.0"),
        ([], "onnxruntime"),
    ],
)
def test_other_builds_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str], expected: str
) -> None:
    """A Jetson's has another name; two at once are told apart from either; some come without metadata."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/__init__.py").write_text("raise SystemExit('imported')", "utf-8")
    for folder in folders:
        (tmp_path / f"{folder}.dist-info").mkdir()
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert session.installed() == expected
