"""Base encoders: the teacher's own, and others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from build_tools.distill.base import Base
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import cut
from build_tools.errors import ModelError
from build_tools.recipe_training import TeacherSpec
from build_tools.towers import Tower


@pytest.fixture(scope="module")
def tower(teacher_folder: Path) -> Tower:
    """The tiny teacher."""
    return Tower.load(TeacherSpec(str(teacher_folder)))


@pytest.mark.parametrize("own_name", [False, True])
def test_the_teachers_own_encoder(tower: Tower, own_name: bool) -> None:
    """Under either name it is the loaded module itself, and a student needs no projection."""
    base = Base.load(tower, tower.source if own_name else "teacher")
    assert base.model is tower.model[0].auto_model
    assert base.tokenizer is tower.tokenizer
    assert (base.pooling, base.aligned, base.layers) == ("mean", True, 3)


def test_a_student_of_all_layers_is_the_teacher(tower: Tower) -> None:
    """Uncut and unprojected, it gives the teacher's vectors."""
    base = Base.load(tower, "teacher")
    texts = ["knead the dough", "anchor"]
    student = cut(base.model, None, tower.ndim, base.pooling, every_layer=not base.aligned).eval()
    assert student.projection is None
    tokens = base.tokenizer(texts)["input_ids"]
    assert encode_tokens(student, tokens) == pytest.approx(tower.encode_queries(texts), abs=1e-5)


def test_a_plain_transformers_folder(tower: Tower, teacher_folder: Path) -> None:
    """Is mean-pooled, and lies in a space of its own."""
    base = Base.load(tower, str(teacher_folder.parent / "base"))
    assert (base.pooling, base.aligned, base.layers) == ("mean", False, 3)


@pytest.mark.parametrize(("mode", "pooling"), [("cls", "cls"), ("mean", "mean"), ("max", "mean")])
def test_a_sentence_transformers_folder(
    tower: Tower, teacher_folder: Path, tmp_path: Path, mode: str, pooling: str
) -> None:
    """Its own pooling counts, not the teacher's."""
    _composed(teacher_folder, mode).save(str(tmp_path / "other"))
    base = Base.load(tower, str(tmp_path / "other"))
    assert (base.pooling, base.aligned) == (pooling, False)


def test_a_teacher_with_a_dense_layer(teacher_folder: Path, tmp_path: Path) -> None:
    """Its pooled states are not its vectors, although they are as wide."""
    model = _composed(teacher_folder, "mean")
    model.append(Dense(32, 32, activation_function=torch.nn.Tanh()))
    model.save(str(tmp_path / "dense"))
    dense = Tower.load(TeacherSpec(str(tmp_path / "dense")))
    assert dense.ndim == 32
    assert not Base.load(dense, "teacher").aligned


def test_a_teacher_that_is_no_transformer(tmp_path: Path) -> None:
    """Has nothing to cut; the error says what to do."""
    words = Tokenizer(WordLevel({"[UNK]": 0, "wheel": 1}, unk_token="[UNK]"))
    embedding = StaticEmbedding(words, embedding_weights=torch.eye(2))
    SentenceTransformer(modules=[embedding], device="cpu").save(str(tmp_path / "static"))
    static = Tower.load(TeacherSpec(str(tmp_path / "static")))
    with pytest.raises(ModelError, match=r"encoders\.base teacher: not a transformer; name one"):
        Base.load(static, "teacher")


def test_a_base_that_is_not_there(tower: Tower) -> None:
    """One error of one line, which names the recipe's field."""
    with pytest.raises(ModelError, match=r"encoders\.base /nowhere: cannot be loaded .*Give `") as caught:
        Base.load(tower, "/nowhere")
    assert "\n" not in str(caught.value)


def _composed(teacher_folder: Path, mode: str) -> SentenceTransformer:
    transformer = Transformer(str(teacher_folder.parent / "base"))
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode=mode)
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")
