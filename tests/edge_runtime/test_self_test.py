"""Golden queries on this device: sound encoders pass, garbage of every kind is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_runtime import cpu, encoders, process, self_test
from edge_runtime.errors import BundleError, EngineError, Error, SelfTestError
from tests.versions import list_anew

Line = dict[str, Any]


def edit(bundle: Path, change: Callable[[Line], object], line: int = 0) -> None:
    """Changes one golden query."""
    path = bundle / "golden.jsonl"
    lines = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    change(lines[line])
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), "utf-8")
    list_anew(bundle)


def put(part: str, value: object) -> Callable[[Line], None]:
    """Replaces what a line says of the encoder."""

    def change(line: Line) -> None:
        line[part]["layers2"] = value

    return change


def test_every_encoder_gives_what_it_gave(two_engines: Path) -> None:
    """Both engines and the table."""
    outcome = self_test.replay(two_engines)
    assert [each.encoder for each in outcome.replays] == ["layers2", "layers2-tflite", "static"]
    assert {each.queries for each in outcome.replays} == {4}
    assert all(each.cosine > 0.9999 for each in outcome.replays)
    assert outcome.skipped == {}


def test_garbage_from_a_sound_file(two_engines: Path, tmp_path: Path) -> None:
    """Unit vectors that mean nothing, as old runtimes give: here the word table runs backwards, with the
    right hash.
    """
    bundle = Path(shutil.copytree(two_engines, tmp_path / "bundle"))
    path = bundle / "encoders/layers2-tflite.tflite"
    model = schema.Model.GetRootAs(bytearray(path.read_bytes()), 0)
    data = bytearray(path.read_bytes())
    largest = max(
        (model.Buffers(i) for i in range(model.BuffersLength())), key=lambda each: each.DataLength()
    )
    start = largest._tab.Vector(largest._tab.Offset(4))
    data[start : start + largest.DataLength()] = bytes(reversed(data[start : start + largest.DataLength()]))
    path.write_bytes(data)
    list_anew(bundle)
    with pytest.raises(SelfTestError) as caught:
        self_test.replay(bundle)
    message = str(caught.value)
    assert "encoder layers2-tflite on ai-edge-litert" in message
    assert "to the vector of the build; expected at least 0.99; this engine computes it wrongly" in message


def test_other_tokens(bundle_copy: Path) -> None:
    """Another tokenizer gives other ids, though the engine is right."""
    edit(bundle_copy, put("tokens", [2, 3]), line=2)
    with pytest.raises(
        SelfTestError, match=r"golden query 3: tokens \[2, .*; expected \[2, 3\]; install the version"
    ):
        self_test.replay(bundle_copy)


def test_passages_that_are_not_found(bundle_copy: Path) -> None:
    """The index is another's, or read wrongly."""
    edit(bundle_copy, put("passages", [10**6]))
    with pytest.raises(
        SelfTestError, match=r"golden query 1: the index finds rows \[.*; expected 1000000 among"
    ):
        self_test.replay(bundle_copy)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda line: line.pop("vector"), "line 1: vector: missing"),
        (lambda line: line.update(query=7), "line 1: query: expected text; found 7"),
        (lambda line: line["tokens"].pop("layers2"), "line 1: nothing for encoder layers2; rebuild"),
        (put("vector", [1.0]), "line 1: expected 32 components and a passage for encoder layers2; rebuild"),
        (put("passages", []), "line 1: expected 32 components and a passage"),
        (put("tokens", ["a"]), "line 1: tokens.layers2.0: expected a whole number"),
    ],
)
def test_golden_queries_that_are_none(
    bundle_copy: Path, change: Callable[[Line], object], problem: str
) -> None:
    """File, line, and what is wrong there."""
    edit(bundle_copy, change)
    with pytest.raises(BundleError) as caught:
        self_test.replay(bundle_copy)
    assert f"golden.jsonl, {problem}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "has no query"), (b"{\n", "line 1: "), (b"[" * 10**5, "line 1: ")]
)
def test_golden_files_that_are_none(bundle_copy: Path, content: bytes, problem: str) -> None:
    """Empty, cut short, or made to exhaust a parser."""
    (bundle_copy / "golden.jsonl").write_bytes(content)
    list_anew(bundle_copy)
    with pytest.raises(BundleError, match=problem):
        self_test.replay(bundle_copy)


def test_a_vector_of_zeros(bundle_copy: Path) -> None:
    """Its cosine is not a number, and does not pass."""
    edit(bundle_copy, put("vector", [0.0] * 32))
    with pytest.raises(SelfTestError, match="cosine nan"):
        self_test.replay(bundle_copy)


def test_an_engine_that_crashes(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process lives on, and says which encoder it was."""
    monkeypatch.setattr(process, "_CODE", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    with pytest.raises(Error, match=r"^encoder layers2: a new process was killed by SIGILL$"):
        self_test.replay(bundle_copy)


def test_a_processor_that_lacks_what_an_encoder_requires(
    demanding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passed over, with the reason; the others are replayed."""
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu("Cortex-A72", ("asimd",), 4))
    monkeypatch.setattr(self_test, "_in_new_process", lambda _, encoder: encoder)
    outcome = self_test.replay(demanding)
    assert [str(replayed) for replayed in outcome.replays] == ["static"]
    assert outcome.skipped["layers2"].endswith("and this system has asimd")


def test_no_engine_at_all(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tested, which is not the same as sound."""
    monkeypatch.setattr(encoders, "engine", lambda _: None)
    problem = r"no encoder can run on this device:\n  layers2 has no engine here: .*edge-runtime\[onnx\]"
    with pytest.raises(EngineError, match=problem):
        self_test.replay(bundle_copy)
