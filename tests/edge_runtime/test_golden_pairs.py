"""The reranker's golden pairs on this device: a sound model passes, garbage is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime import encoders, golden_pairs, self_test
from edge_runtime.errors import BundleError, EngineError, SelfTestError
from tests.versions import list_anew

Line = dict[str, Any]


@pytest.fixture
def copy(reranked_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(reranked_bundle, tmp_path / "bundle"))


def edit(bundle: Path, change: Callable[[Line], object]) -> None:
    """Changes the first pair."""
    path = bundle / "reranker/golden.jsonl"
    first, *others = path.read_text("utf-8").splitlines()
    line = json.loads(first)
    change(line)
    path.write_text("\n".join([json.dumps(line), *others]) + "\n", "utf-8")
    list_anew(bundle)


def test_a_sound_reranker(reranked_bundle: Path) -> None:
    """The same numbers on the machine that built it, beside the encoders' queries."""
    outcome = self_test.replay(reranked_bundle)
    assert outcome.reranker is not None
    assert outcome.reranker.pairs > 4
    assert outcome.reranker.deviation < 1e-5
    assert outcome.reranker.engine.startswith("onnxruntime ")
    assert [each.encoder for each in outcome.replays] == ["layers2", "static"]


def test_a_bundle_without_one(bundle: Path) -> None:
    """Nothing is replayed, nothing skipped."""
    outcome = self_test.replay(bundle)
    assert (outcome.reranker, outcome.skipped) == (None, {})


def test_garbage_from_a_sound_file(copy: Path) -> None:
    """One number for every pair, as a broken kernel gives: here the head reads zeros."""
    path = copy / "reranker/model.onnx"
    model = onnx.load(str(path))
    nodes = model.graph.node
    pooled = next(node for node in nodes if node.op_type == "Tanh")
    for node in nodes:
        for place, name in enumerate(node.input):
            if name == pooled.output[0]:
                node.input[place] = "silent"
    silence = onnx.helper.make_node("Mul", [pooled.output[0], "zero"], ["silent"])
    nodes.insert(list(nodes).index(pooled) + 1, silence)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    (copy / "reranker/weights.bin").unlink()
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=1024)
    list_anew(copy)
    with pytest.raises(SelfTestError, match=r"reranker on onnxruntime [0-9.]+, golden pair \d+: .* at most"):
        golden_pairs.replay(str(copy))


def test_other_tokens(copy: Path) -> None:
    """Another version of tokenizers, or another template."""
    edit(copy, lambda line: line.update(types=[0] * len(line["types"])))
    with pytest.raises(SelfTestError, match=r"golden pair 1: tokens .* with the types of the build"):
        golden_pairs.replay(str(copy))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda line: line.update(row=10**6), "line 1: row 1000000; the bundle has"),
        (lambda line: line.update(row=-1), "line 1: row -1; the bundle has"),
        (lambda line: line.update(score="high"), "line 1: score: expected a number"),
        (lambda line: line.pop("query"), "line 1: query: missing"),
    ],
)
def test_lines_that_are_none(copy: Path, change: Callable[[Line], object], problem: str) -> None:
    """File and line."""
    edit(copy, change)
    with pytest.raises(BundleError, match=f"reranker/golden.jsonl, {problem}"):
        golden_pairs.replay(str(copy))


def test_no_pair(copy: Path) -> None:
    """An empty file proves nothing."""
    (copy / "reranker/golden.jsonl").write_bytes(b"")
    list_anew(copy)
    with pytest.raises(BundleError, match="has no pair"):
        golden_pairs.replay(str(copy))


def test_a_model_that_is_none(copy: Path) -> None:
    """With the right hash: verify says whose fault it is."""
    (copy / "reranker/model.onnx").write_bytes(b"garbage")
    list_anew(copy)
    with pytest.raises(EngineError, match="refuses the reranker"):
        self_test.replay(copy)


def test_no_engine_for_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that runs static encoders only it is skipped, with the reason."""
    monkeypatch.setattr(encoders, "_installed", lambda kind: "numpy 2" if kind == "static" else None)
    outcome = self_test.replay(copy)
    assert outcome.reranker is None
    assert outcome.skipped["reranker"] == "has no engine here: pip install 'edge-runtime[onnx]'"
