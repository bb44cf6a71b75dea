"""Scores of a cross-encoder: logits, computed once, or one clear error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification

from build_tools import shards
from build_tools.distill.cross_encoder import Pair, Scorer, score_candidates
from build_tools.distill.lessons import Candidates
from build_tools.errors import ModelError

PAIRS = [
    ("yeast dough", "flour water salt yeast dough oven bake"),
    ("how to repair a wheel", "wheel chain pedal"),
    ("wind", "a sail needs wind. without wind the mast will fail. keep rope near. " * 4),
    ("", "soil"),
]


def save_classifier(
    teacher: Path, folder: Path, *, labels: int = 1, change: Callable[[torch.nn.Module], None] | None = None
) -> Path:
    """A random cross-encoder with the teacher's tokenizer."""
    torch.manual_seed(2)
    config = BertConfig.from_pretrained(teacher, num_labels=labels)
    model = BertForSequenceClassification(config)
    if change:
        change(model)
    shutil.copytree(teacher, folder, ignore=shutil.ignore_patterns("*.safetensors", "1_*", "modules.json"))
    (folder / "config_sentence_transformers.json").unlink(missing_ok=True)
    (folder / "sentence_bert_config.json").unlink(missing_ok=True)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder's folder."""
    return save_classifier(teacher_folder, tmp_path_factory.mktemp("cross") / "my-reranker")


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    """The same, loaded."""
    return Scorer.load(str(folder), batch_size=2)


def plain_logits(folder: Path, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """What transformers gives, pair by pair."""
    model = CrossEncoder(str(folder), device="cpu")
    assert model.model is not None
    scores = []
    for query, passage in pairs:
        features = model.tokenizer(
            query, passage, truncation=True, max_length=model.max_seq_length, return_tensors="pt"
        )
        with torch.inference_mode():
            scores.append(model.model(**features).logits.item())
    return np.array(scores, np.float32)


def test_scores_are_logits_in_the_order_given(scorer: Scorer, folder: Path) -> None:
    """Neither sorting by length nor padding nor a sigmoid shows."""
    scores = scorer.score(PAIRS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, plain_logits(folder, PAIRS), atol=1e-5)


def test_no_pairs(scorer: Scorer) -> None:
    """No scores."""
    assert scorer.score([]).shape == (0,)


def test_the_name_says_nothing_of_this_machine(scorer: Scorer) -> None:
    """A folder's name, not its place."""
    assert scorer.name == "my-reranker"


def test_the_digest_follows_weights_and_length(teacher_folder: Path, folder: Path, tmp_path: Path) -> None:
    """The same model elsewhere has the same one; another length or weight has not."""

    def nudge(model: torch.nn.Module) -> None:
        next(model.parameters()).data[0, 0] += 1

    first = Scorer.load(str(folder)).digest
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert Scorer.load(str(copy)).digest == first
    assert Scorer.load(str(save_classifier(teacher_folder, tmp_path / "other", change=nudge))).digest != first
    shorter = CrossEncoder(str(folder), device="cpu", max_length=20)
    shorter.save(str(tmp_path / "shorter"), create_model_card=False)
    assert Scorer.load(str(tmp_path / "shorter")).digest != first


def candidates() -> Candidates:
    """Two queries with three passages each."""
    rows = np.array([[4, 0, 2], [1, 3, 4]])
    return Candidates(["yeast", "wheel"], rows, np.array([True, False]), np.zeros((2, 3), np.float32))


def test_candidates_are_scored_once(scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted call goes on, and a finished one only reads."""
    monkeypatch.setattr(shards, "SHARD", 4)
    contents = ["flour salt", "a wheel", "rope", "pedal and chain", "bake bread"]
    asked: list[list[Pair]] = []
    plain = Scorer.score

    def counting(self: Scorer, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        if len(asked) == 1 and len(pairs) == 2 and len(told) == 1:
            asked.append([])
            raise KeyboardInterrupt
        asked.append(list(pairs))
        return plain(self, pairs)

    told: list[int] = []
    monkeypatch.setattr(Scorer, "score", counting)
    with pytest.raises(KeyboardInterrupt):
        score_candidates(candidates(), contents, tmp_path, scorer=scorer, advance=told.append)
    scored = score_candidates(candidates(), contents, tmp_path, scorer=scorer, advance=told.append)
    again = score_candidates(
        candidates(), dict(enumerate(contents)), tmp_path, scorer=scorer, advance=told.append
    )
    assert [len(pairs) for pairs in asked] == [4, 0, 2]
    assert asked[0] == [
        ("yeast", "bake bread"),
        ("yeast", "flour salt"),
        ("yeast", "rope"),
        ("wheel", "a wheel"),
    ]
    assert told == [4, 4, 2]
    assert scored.scores is not None
    assert again.scores is not None
    assert np.array_equal(scored.scores, again.scores)
    expected = plain(
        scorer, [(t, contents[r]) for t, rows in (("yeast", [4, 0, 2]), ("wheel", [1, 3, 4])) for r in rows]
    )
    np.testing.assert_allclose(scored.scores, expected.reshape(2, 3), atol=1e-5)


def test_not_there(tmp_path: Path) -> None:
    """Neither a folder nor a model that a hub would give."""
    with pytest.raises(
        ModelError, match=r"cross-encoder .*nowhere: cannot be loaded \(.+\)\. Give a sentence"
    ):
        Scorer.load(str(tmp_path / "nowhere"))


def test_a_bi_encoder(teacher_folder: Path) -> None:
    """sentence-transformers would load it, with a random head."""
    with pytest.raises(
        ModelError, match=r"without a relevance head \(BertModel\).*edge-build train-reranker"
    ):
        Scorer.load(str(teacher_folder))


def test_several_labels(teacher_folder: Path, tmp_path: Path) -> None:
    """As models for natural language inference have."""
    folder = save_classifier(teacher_folder, tmp_path / "nli", labels=3)
    with pytest.raises(ModelError, match="gives 3 labels; expected one score"):
        Scorer.load(str(folder))


def test_not_a_number(teacher_folder: Path, tmp_path: Path) -> None:
    """Weights that were spoilt."""

    def spoil(model: torch.nn.Module) -> None:
        list(model.parameters())[-1].data.fill_(float("nan"))

    scorer = Scorer.load(str(save_classifier(teacher_folder, tmp_path / "spoilt", change=spoil)))
    with pytest.raises(ModelError, match="spoilt: gives scores that are not finite"):
        scorer.score(PAIRS)
