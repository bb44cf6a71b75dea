"""Vectors of documents that come into a bundle later: few, and by the teacher that made the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import documents, record, redraft
from build_tools.build import build
from build_tools.errors import BuildError, ModelError
from build_tools.progress import Progress
from build_tools.redistil import redistil
from build_tools.towers import Tower
from edge_runtime import manifest as manifests
from edge_runtime.dense import quantize
from tests.build_tools.updates import CHANGED, NEW, codes, everything, run
from tests.conftest import corpus_lines


def test_only_what_is_new_is_encoded(
    home: Path, given: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a document that has grown, the passage that is as before keeps its vector."""
    encoded: list[str] = []
    whole = Tower.encode_documents

    def watched(tower: Tower, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded.extend(texts)
        return whole(tower, texts)

    monkeypatch.setattr(Tower, "encode_documents", watched)
    line = corpus_lines()[0]
    run(home, [given({**line, "text": f"{line['text']} Then let it cool on the rack for an hour."})])
    old = [passage.content for passage in documents.read(home / "bundle")]
    asked, new = encoded[: redraft.SAMPLE], encoded[redraft.SAMPLE :]
    assert len(new) < len([content for content in old if "bread" in content])
    assert all("rack" in content for content in new)
    assert new
    assert set(asked) <= set(old)


def test_fewer_dimensions(tmp_path: Path, recipe_file: Path, given: Callable[..., Path]) -> None:
    """New vectors go through the map that the index was made with, also when encoders are made afterwards."""
    from build_tools import recipe_yaml
    from build_tools.reduction import Reduction

    small = "encoders=[{id: static, kind: static, max_tokens: 32, steps: 5}]"
    gates = [f"gates.{name}=0" for name in ("cosine_mean", "cosine_min", "index_recall")]
    recipe = recipe_yaml.load(recipe_file, [small, "teacher.ndim=16", *gates])
    home = build(recipe, tmp_path, Progress()).bundle.parent
    fitted = Reduction.load(home)
    (home / "reduction.npy").unlink()
    assert build(recipe, tmp_path, Progress()).fresh
    assert np.array_equal(Reduction.load(home).matrix, fitted.matrix)
    shutil.rmtree(home / "stages")
    built = run(home, [given(NEW)])
    [content] = [
        passage.content for passage in documents.read(built.bundle) if passage.document == "radio-99"
    ]
    vector = fitted.apply(Tower.load(recipe.teacher).encode_documents([content]))
    manifest = manifests.read(built.bundle / "manifest.yaml")
    assert np.abs(codes(built.bundle)[-1].astype(int) - quantize(vector[0], manifest.index.scale)).max() <= 1
    again = redistil(home / "bundle", ["encoders.0.steps=4"], Progress())
    assert np.array_equal(Reduction.load(home).matrix, fitted.matrix)
    assert again.card.index_recall is not None
    (home / "reduction.npy").unlink()
    with pytest.raises(BuildError, match=r"reduction\.npy: cannot be read"):
        run(home, [given(CHANGED)])


def test_another_teacher(home: Path, tmp_path: Path, given: Callable[..., Path]) -> None:
    """Of the same shape under the same name is found out by what it makes of passages in the bundle."""
    import torch
    from sentence_transformers import SentenceTransformer

    before = everything(home / "bundle")
    recipe = record.need(home).recipe
    model = SentenceTransformer(recipe.teacher.model, device="cpu")
    torch.manual_seed(9)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save(str(tmp_path / "model"))
    other = replace(recipe, teacher=replace(recipe.teacher, model=str(tmp_path / "model")))
    record.write(replace(record.need(home), recipe=other), home)
    with pytest.raises(ModelError, match="teacher model: not the one that made this index"):
        run(home, [given(NEW)])
    assert everything(home / "bundle") == before
    assert not (home / "bundle.new").exists()


def test_a_teacher_that_is_gone(home: Path, given: Callable[..., Path]) -> None:
    """Matters to what is added; removing needs none."""
    known = record.need(home)
    gone = replace(known.recipe, teacher=replace(known.recipe.teacher, model="/nowhere"))
    record.write(replace(known, recipe=gone), home)
    assert run(home, remove=["bread-0"]).fresh
    with pytest.raises(ModelError, match=r"teacher\.model /nowhere: cannot be loaded"):
        run(home, [given(NEW)])
