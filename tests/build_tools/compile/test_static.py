"""The files of a static encoder: what the device reads is what was trained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from build_tools.compile.static import compile_static
from build_tools.distill import static
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.static import StaticStudent
from edge_runtime.bundle import Bundle
from edge_runtime.encoder_spec import BIGRAMS, SCALES, TABLE, EncoderSpec
from edge_runtime.encoders.static import StaticEncoder

VOCABULARY, NDIM = 50, 24


def student(bigrams: int = 12) -> StaticStudent:
    """Random in every part that training moves, weights of either sign among them."""
    rng = np.random.default_rng(0)
    keys = np.sort(rng.choice(VOCABULARY**2, bigrams, replace=False)).astype(np.int64)
    module = static.untrained(rng.standard_normal((VOCABULARY, NDIM)).astype(np.float32), keys)
    torch.manual_seed(0)
    with torch.no_grad():
        module.table.weight[VOCABULARY:] = torch.randn(bigrams, NDIM)
        module.weights.weight.copy_(torch.randn(VOCABULARY + bigrams, 1) * 3)
        module.head.weight.copy_(torch.randn(NDIM, NDIM))
    return module.eval()


def load(directory: Path) -> StaticEncoder:
    """The device's encoder, over a bundle of nothing but its files."""
    folder = directory / "encoders" / "s"
    names = {f"encoders/s/{path.name}": path for path in folder.iterdir()}
    bundle = SimpleNamespace(root=directory, array=lambda name: np.load(names[name], mmap_mode="r"))
    spec = EncoderSpec("s", "static", "encoders/s", "tokenizer.json", NDIM, 32, "", 0, {})
    return StaticEncoder.load(cast(Bundle, cast(Any, bundle)), spec)


def sequences(module: StaticStudent) -> list[list[int]]:
    """Random ids of every length to twenty, each with a known pair in it where the student has pairs."""
    rng = np.random.default_rng(1)
    keys = module.keys.tolist()
    found = [rng.integers(0, VOCABULARY, length).tolist() for length in range(1, 20)]
    return found + [[3, *divmod(key, VOCABULARY), 4] for key in keys]


@pytest.mark.parametrize("bigrams", [0, 12])
def test_the_device_agrees_with_pytorch(tmp_path: Path, bigrams: int) -> None:
    """At every length, with pairs and without."""
    module = student(bigrams)
    compile_static(module, tmp_path / "encoders" / "s")
    encoder = load(tmp_path)
    tokens = sequences(module)
    ours = np.stack([encoder.encode(ids) for ids in tokens])
    assert (ours * encode_tokens(module, tokens)).sum(1).min() > 0.999


def test_the_pairs_matter(tmp_path: Path) -> None:
    """Both sides add them: a pair's vector is not the sum of its tokens'."""
    module = student()
    compile_static(module, tmp_path / "encoders" / "s")
    encoder, [left, right] = load(tmp_path), divmod(int(module.keys[0]), VOCABULARY)
    assert encoder.encode([left, right]) @ encoder.encode([right, left]) < 0.99


def test_shapes_and_types(tmp_path: Path) -> None:
    """As the format says."""
    module = student()
    compile_static(module, tmp_path)
    table, scales, bigrams = (np.load(tmp_path / name) for name in (TABLE, SCALES, BIGRAMS))
    assert (table.shape, table.dtype) == ((VOCABULARY + 12, NDIM), np.int8)
    assert (scales.shape, scales.dtype) == ((VOCABULARY + 12,), np.float32)
    assert bigrams.tolist() == module.keys.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([TABLE, SCALES, BIGRAMS])


def test_the_same_student_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever stood there before."""
    compile_static(student(0), tmp_path / "a")
    compile_static(student(), tmp_path / "a")
    compile_static(student(), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
