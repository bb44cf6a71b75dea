"""A base encoder's tokenizer as it ships, and the teacher's vectors of its single tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizer

from build_tools import reduction
from build_tools.distill.tokens import plain_json, token_vectors
from build_tools.errors import ModelError
from build_tools.recipe_training import TeacherSpec
from build_tools.teacher import Teacher
from build_tools.towers import Tower
from edge_runtime.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> Teacher:
    """The tiny teacher."""
    return Teacher(Tower.load(TeacherSpec(str(teacher_folder))))


def test_the_tokenizer_neither_pads_nor_cuts(teacher: Teacher, tmp_path: Path) -> None:
    """Whatever its authors left in it: the runtime decides about lengths."""
    tokenizer = teacher.tower.tokenizer
    tokenizer(["one", "a longer text"], padding=True, truncation=True, max_length=4)
    text = plain_json(tokenizer)
    assert json.loads(text)["padding"] is json.loads(text)["truncation"] is None
    (tmp_path / "tokenizer.json").write_text(text, "utf-8")
    reader = Tokenizer.load(tmp_path / "tokenizer.json", max_tokens=64)
    assert reader.encode("wheel and anchor") == tokenizer("wheel and anchor")["input_ids"]


def test_a_tokenizer_in_python_only() -> None:
    """Cannot be shipped."""
    slow = PreTrainedTokenizer.__new__(PreTrainedTokenizer)
    slow.name_or_path = "old"
    with pytest.raises(ModelError, match=r"old: has no fast tokenizer \(tokenizer\.json\)"):
        plain_json(slow)


def test_vectors_of_single_tokens(teacher: Teacher, tmp_path: Path) -> None:
    """What the teacher makes of each token's letters; nothing of the special ones."""
    tokenizer = teacher.tower.tokenizer
    vectors = token_vectors(tokenizer, teacher, tmp_path)
    vocabulary = tokenizer.get_vocab()
    assert vectors.shape == (len(vocabulary), 32)
    assert vectors.dtype == np.float32
    for token, text in (("wheel", "wheel"), ("##s", "s"), ("s", "s"), ("?", "?")):
        [expected] = teacher.encode_queries([text])
        np.testing.assert_allclose(vectors[vocabulary[token]], expected, atol=1e-5)
    special = [vocabulary[token] for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    assert not vectors[special].any()
    others = np.delete(vectors, special, axis=0)
    np.testing.assert_allclose(np.linalg.norm(others, axis=1), 1, atol=1e-5)


def test_vectors_are_kept(teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call asks no teacher."""
    first = token_vectors(teacher.tower.tokenizer, teacher, tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(Teacher, "encode_queries", refuse)
    assert np.array_equal(first, token_vectors(teacher.tower.tokenizer, teacher, tmp_path))


def test_vectors_in_fewer_dimensions(teacher: Teacher, tmp_path: Path) -> None:
    """As many as the index has."""
    fewer = replace(teacher, reduction=reduction.fit(np.eye(32, dtype=np.float32), 8, method="prefix"))
    assert token_vectors(teacher.tower.tokenizer, fewer, tmp_path).shape[1] == 8
