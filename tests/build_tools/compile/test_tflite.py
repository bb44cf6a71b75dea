"""The compiled student on LiteRT, and what old runtimes need of the file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from build_tools.compile import tflite, tflite_model, tflite_resize
from build_tools.compile.fixed_length import FixedLength
from build_tools.compile.tflite import compile_tflite
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import Student
from build_tools.errors import BuildError
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.encoders.tflite import TfliteEncoder

LENGTHS = (8, 24)
MAX_TOKENS = 24
COUNTS = (1, 2, 7, 8, 9, 23, 24)


def spec(ndim: int = 32, lengths: tuple[int, ...] = ()) -> EncoderSpec:
    return EncoderSpec("s", "tflite", "s.tflite", "t.json", ndim, MAX_TOKENS, "", 2, {}, lengths=lengths)


def tokens() -> list[list[int]]:
    """A query of each length that matters."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 80, count).tolist() for count in COUNTS]


def answers(path: Path, ndim: int = 32, lengths: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """What the device makes of `tokens`."""
    encoder = TfliteEncoder.load(path, spec(ndim, lengths))
    vectors = np.stack([encoder.encode(ids) for ids in tokens()])
    encoder.close()
    return vectors


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, small_student: Callable[..., Student]) -> Path:
    """The file that most tests look at."""
    path = tmp_path_factory.mktemp("tflite") / "encoder.tflite"
    compile_tflite(small_student(), path, max_tokens=MAX_TOKENS)
    return path


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory, small_student: Callable[..., Student]) -> Path:
    """The same student at fixed lengths."""
    path = tmp_path_factory.mktemp("tflite") / "encoder.tflite"
    compile_tflite(small_student(), path, max_tokens=MAX_TOKENS, lengths=LENGTHS)
    return path


@pytest.mark.parametrize(
    ("ndim", "pooling", "every_layer"),
    [(32, "mean", False), (32, "cls", False), (20, "mean", True), (20, "cls", True)],
)
def test_a_fixed_length_is_the_same_student(
    small_student: Callable[..., Student], ndim: int, pooling: str, every_layer: bool
) -> None:
    """In float32, but for the word table's int8 rows, at every number of tokens up to it."""
    module = small_student(ndim, pooling, every_layer=every_layer)
    expected = encode_tokens(module, tokens())
    fixed = FixedLength(module, 24)
    for ids, vector in zip(tokens(), expected, strict=True):
        padded, mask = torch.zeros((1, 24), dtype=torch.int32), torch.zeros((1, 24), dtype=torch.int32)
        padded[0, : len(ids)], mask[0, : len(ids)] = torch.tensor(ids), 1
        with torch.no_grad():
            found = fixed(padded, mask)[0].numpy()
        assert float(found @ vector) > 0.9995


def test_it_agrees_with_pytorch(compiled: Path, small_student: Callable[..., Student]) -> None:
    """At every number of tokens, and in any order of them."""
    found = answers(compiled)
    assert (found * encode_tokens(small_student(), tokens())).sum(1).min() > 0.99
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    encoder = TfliteEncoder.load(compiled, spec())
    backwards = [encoder.encode(ids) for ids in reversed(tokens())]
    assert np.array_equal(backwards[::-1], found)
    encoder.close()


def test_any_length_and_fixed_ones_are_the_same_encoder(compiled: Path, fixed: Path) -> None:
    """A query that fills a fixed length gives the same bits; one that is padded, nearly."""
    any_length, padded = answers(compiled), answers(fixed, lengths=LENGTHS)
    full = [place for place, count in enumerate(COUNTS) if count in LENGTHS]
    assert np.array_equal(any_length[full], padded[full])
    assert (any_length * padded).sum(1) == pytest.approx(1, abs=1e-5)


def test_a_projection_is_compiled_too(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """With the first token's state, for once."""
    module = small_student(20, "cls", every_layer=True)
    compile_tflite(module, tmp_path / "encoder.tflite", max_tokens=MAX_TOKENS)
    found = answers(tmp_path / "encoder.tflite", 20)
    assert (found * encode_tokens(module, tokens())).sum(1).min() > 0.99


@pytest.mark.parametrize(("name", "graphs"), [("compiled", 1), ("fixed", 2)])
def test_no_layer_has_a_scale_an_output(name: str, graphs: int, request: pytest.FixtureRequest) -> None:
    """tflite-runtime 2.14 would compute garbage: 4 products a layer and graph, each with one scale."""
    model = schema.ModelT.InitFromPackedBuf(request.getfixturevalue(name).read_bytes(), 0)
    products = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            weights = graph.tensors[operator.inputs[1]]
            products += 1
            assert code.version == 9
            assert operator.builtinOptions.asymmetricQuantizeInputs
            assert weights.type == schema.TensorType.INT8
            assert list(weights.quantization.scale) == [1.0]
            assert operator.inputs[2] == -1
    assert products == graphs * 2 * 4


def test_any_length_is_one_graph(compiled: Path) -> None:
    """XNNPACK packs the weights once a graph. The number of tokens is open, up to the last position."""
    model = schema.ModelT.InitFromPackedBuf(compiled.read_bytes(), 0)
    (graph,), (entry,) = model.subgraphs, model.signatureDefs
    assert entry.signatureKey == b"tokens"
    assert [list(graph.tensors[number].shapeSignature) for number in graph.inputs] == [[1, -1]] * 2
    tables = {
        tuple(tensor.shape)
        for tensor in graph.tensors
        if len(tensor.shape) == 2 and model.buffers[tensor.buffer].data is not None
    }
    assert (MAX_TOKENS, 32) in tables


def test_no_shape_is_known_late(compiled: Path) -> None:
    """Delegates that want to know shapes beforehand, as the XNNPACK of 2.14 does, take the graph."""
    interpreter = litert.Interpreter(
        model_path=str(compiled),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    for count in (1, 24):
        for detail in interpreter.get_input_details():
            interpreter.resize_tensor_input(detail["index"], [1, count])
        interpreter.allocate_tensors()
        shapes = [detail["shape"].tolist() for detail in interpreter.get_tensor_details()]
        assert [count, 3 * 32] in shapes
        assert [0] not in shapes


@pytest.mark.parametrize("max_tokens", [8, 31, 32, 63])
def test_lengths_that_are_other_sizes_too(
    tmp_path: Path, small_student: Callable[..., Student], max_tokens: int
) -> None:
    """The student's width, its heads' and its positions' are not mistaken for numbers of tokens."""
    module = small_student()
    compile_tflite(module, tmp_path / "encoder.tflite", max_tokens=max_tokens)
    encoder = TfliteEncoder.load(
        tmp_path / "encoder.tflite", replace(spec(), max_tokens=max_tokens, lengths=())
    )
    ids = np.random.default_rng(1).integers(0, 80, max_tokens).tolist()
    assert float(encoder.encode(ids) @ encode_tokens(module, [ids])[0]) > 0.99
    encoder.close()


def test_a_length_that_is_written_elsewhere(compiled: Path) -> None:
    """What the converter has not done so far: no file that is wrong for other lengths."""
    model = tflite_model.read(compiled.read_bytes())
    with pytest.raises(BuildError, match=r"wrote 32 tokens into .*; set compile.lengths"):
        tflite_resize.resize(model, length=32, max_tokens=8, mask="attention_mask")


def test_lengths_share_their_weights(fixed: Path) -> None:
    """A second signature adds a graph, not a second encoder; and no bytes lie outside the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(fixed.read_bytes(), 0)
    weights = [
        {tensor.buffer for tensor in graph.tensors if tensor.type == schema.TensorType.INT8 and tensor.buffer}
        for graph in model.subgraphs
    ]
    filled = [{number for number in each if model.buffers[number].data is not None} for each in weights]
    assert filled[0] == filled[1]
    assert all(buffer.offset == buffer.size == 0 for buffer in model.buffers)


def test_tensors_are_aligned(compiled: Path) -> None:
    """To 16 bytes, as the schema asks."""
    data = compiled.read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    places = []
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            places.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert len(places) > 10
    assert {place % 16 for place in places} == {0}


def test_the_same_student_gives_the_same_bytes(
    tmp_path: Path, compiled: Path, small_student: Callable[..., Student]
) -> None:
    """And nothing of this machine is in them."""
    compile_tflite(small_student(), tmp_path / "elsewhere.tflite", max_tokens=MAX_TOKENS)
    data = (tmp_path / "elsewhere.tflite").read_bytes()
    assert data == compiled.read_bytes()
    assert str(tmp_path).encode() not in data


def test_more_tokens_than_positions(tmp_path: Path, small_student: Callable[..., Student]) -> None:
    """Said before anything is converted."""
    with pytest.raises(BuildError, match=r"^compile.lengths: 65 tokens, and the encoder reads 64 at most"):
        compile_tflite(small_student(), tmp_path / "e.tflite", max_tokens=65, lengths=(8, 65))
    with pytest.raises(BuildError, match=r"^max_tokens: 65 tokens, and the encoder reads 64 at most"):
        compile_tflite(small_student(), tmp_path / "e.tflite", max_tokens=65)


def test_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_student: Callable[..., Student]
) -> None:
    """What is missing, and what brings it."""
    monkeypatch.setattr(tflite, "TFLITE_PACKAGES", {"no_such_module": "no-such-package"})
    with pytest.raises(
        BuildError, match=r"tflite needs no-such-package; install: pip install 'edge-runtime\[build"
    ):
        compile_tflite(small_student(), tmp_path / "e.tflite", max_tokens=MAX_TOKENS)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('first line\\n\\nlast line')", "status 1: first line / last line"),
        ("import os; os.kill(os.getpid(), 11)", "status -11: it said nothing"),
        ("pass", "status 0: it said nothing"),
    ],
)
def test_a_converter_that_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_student: Callable[..., Student],
    program: str,
    said: str,
) -> None:
    """With an error, a crash, or no file: one line, and none of ours is left behind."""
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!{sys.executable}\n{program}\n", "utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(BuildError, match=f"the TFLite converter stopped with {said}"):
        compile_tflite(small_student(), tmp_path / "e.tflite", max_tokens=MAX_TOKENS)
    assert not (tmp_path / "e.tflite").exists()
