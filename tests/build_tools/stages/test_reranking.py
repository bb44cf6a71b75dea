"""The stage that compiles a recipe's cross-encoder, and the bundle that carries it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from build_tools import recipe_yaml
from build_tools.build import build
from build_tools.errors import ModelError, RecipeError
from build_tools.progress import Progress
from build_tools.recipe_reranker import RerankingSpec
from build_tools.stages.reranking import make_reranker
from build_tools.workspace import Workspace
from edge_runtime import manifest as manifests


def test_compiled_once(cross_encoder_folder: Path, tmp_path: Path) -> None:
    """Another depth or length makes nothing anew; the model's own length is the default."""
    workspace = Workspace(tmp_path)
    spec = RerankingSpec(model=str(cross_encoder_folder))
    first = make_reranker(spec, workspace, Progress())
    made = (first.path / "model.onnx").stat().st_mtime_ns
    other = RerankingSpec(model=str(cross_encoder_folder), depth=3, max_tokens=32)
    second = make_reranker(other, workspace, Progress())
    assert (first.max_tokens, first.depth, first.layers, first.name) == (64, 20, 2, "model")
    assert (second.max_tokens, second.depth, second.path) == (32, 3, first.path)
    assert (first.path / "model.onnx").stat().st_mtime_ns == made


def test_longer_than_the_model_reads(cross_encoder_folder: Path, tmp_path: Path) -> None:
    """Refused with both numbers."""
    spec = RerankingSpec(model=str(cross_encoder_folder), max_tokens=129)
    with pytest.raises(ModelError, match=r"^reranker.max_tokens 129: the model has 128 positions"):
        make_reranker(spec, Workspace(tmp_path), Progress())


def test_what_is_no_cross_encoder(teacher_folder: Path, tmp_path: Path) -> None:
    """A folder that is not there, and an encoder without a head."""
    for folder in (tmp_path / "nowhere", teacher_folder):
        with pytest.raises(ModelError, match=r"^cross-encoder "):
            make_reranker(RerankingSpec(model=str(folder)), Workspace(tmp_path), Progress())


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("reranker={depth: 5}", "reranker.model: missing"),
        ("reranker={model: m, depth: 0}", "reranker.depth: expected 1 or more; found 0"),
        ("reranker={model: m, max_tokens: 7}", "reranker.max_tokens: expected 8 or more; found 7"),
        ("reranker={model: ''}", "reranker.model: expected some text"),
    ],
)
def test_recipes_that_are_refused(recipe_file: Path, override: str, problem: str) -> None:
    """With the place and the reason."""
    with pytest.raises(RecipeError, match=problem):
        recipe_yaml.load(recipe_file, [override])


def test_what_the_manifest_says(reranked_bundle: Path) -> None:
    """The tokenizer is the encoders' own file where both read alike; licence and files are listed."""
    manifest = manifests.read(reranked_bundle / manifests.FILENAME)
    spec = manifest.reranker
    assert spec is not None
    assert spec.members == (
        "reranker/model.onnx",
        "reranker/weights.bin",
        "tokenizer.json",
        "reranker/golden.jsonl",
    )
    assert (spec.kind, spec.depth, spec.max_tokens, spec.layers) == ("onnx", 6, 64, 2)
    assert [each.part for each in manifest.licences][2:] == ["reranker, model"]


def test_its_golden_pairs(reranked_bundle: Path) -> None:
    """Each golden query with its own passage and with another's; the scores differ."""
    lines = [
        json.loads(text) for text in (reranked_bundle / "reranker/golden.jsonl").read_text().splitlines()
    ]
    golden = [json.loads(text) for text in (reranked_bundle / "golden.jsonl").read_text("utf-8").splitlines()]
    own = {line["query"]: line["passages"]["layers2"][0] for line in golden}
    assert {line["query"] for line in lines} == own.keys()
    assert all(any(pair["row"] == own[pair["query"]] for pair in lines) for pair in lines)
    assert len({line["score"] for line in lines}) > 1
    assert set(lines[0]) == {"query", "row", "tokens", "types", "score"}


def test_its_row_of_the_quality_card(reranked_bundle: Path) -> None:
    """Behind the encoders': what their hybrid answer becomes, and what the model weighs."""
    rows = yaml.safe_load((reranked_bundle / "quality.yaml").read_text("utf-8"))["rows"]
    last = rows[-1]
    assert last["system"] == "layers2, hybrid, top 6 reranked"
    folder = reranked_bundle / "reranker"
    assert last["bytes"] == sum(file.stat().st_size for file in folder.iterdir())


def test_a_build_that_stands_already(
    reranked_home: Path, recipe_file: Path, cross_encoder_folder: Path
) -> None:
    """The model is an input like any other: unchanged, nothing is made."""
    overrides = [f"reranker={{model: {cross_encoder_folder}, depth: 6}}"]
    assert not build(recipe_yaml.load(recipe_file, overrides), reranked_home.parent, Progress()).fresh
