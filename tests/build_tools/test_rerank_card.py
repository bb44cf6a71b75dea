"""The rows that say what reranking is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import lexical, rerank_card
from build_tools.distill.cross_encoder import Pair, Scorer
from build_tools.evaluate import Questions
from build_tools.first_stage import FirstStage, open_words
from build_tools.recipe import FusionSpec, LexicalSpec
from build_tools.rerank_card import Judged

CONTENTS = ["yeast dough", "oven and yeast", "wheel", "wheel and chain", "anchor rope"]


class Knowing(Scorer):
    """A cross-encoder that knows the answers, to both queries the last document that BM25 would think of."""

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        return np.array([10.0 * (passage == "anchor rope") for _, passage in pairs], np.float32)


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    """Two queries; "d4" answers both, and neither half finds it first."""
    spec = lexical.write(CONTENTS, tmp_path, spec=LexicalSpec())
    vectors = np.eye(5, dtype=np.float32)
    owners = np.arange(5, dtype=np.int32)
    first = FirstStage(vectors, owners, open_words(tmp_path, spec), FusionSpec())
    questions = Questions("labels", {"a": "yeast", "b": "chain"}, {"a": {"d4": 1}, "b": {"d4": 2, "d0": 0}})
    return Judged.find(questions, np.eye(5, dtype=np.float32)[:2], first, [f"d{i}" for i in range(5)])


def knowing() -> Knowing:
    """The scorer above; nothing of a model is asked."""
    return Knowing(None, "knowing", "", 8)  # type: ignore[arg-type]


def test_rows(judged: Judged, tmp_path: Path) -> None:
    """The first stage and its halves, then with the reranker that knows."""
    told: list[int] = []
    contents = dict(enumerate(CONTENTS))
    rows = rerank_card.rows(judged, knowing(), contents, tmp_path, advance=told.append)
    assert [row.system for row in rows] == [
        "BM25",
        "teacher, exact float32",
        "fusion of both",
        "its top 50 reranked",
        "its top 50, sum of both",
    ]
    bm25, teacher, fused, reranked, summed = (row.ndcg_10 for row in rows)
    assert bm25 == 0
    assert 0 < teacher <= fused < summed <= reranked == 1
    assert sum(told) == sum(len(found) for found in judged.fused) == 10
    assert (tmp_path / "scores.npy").is_file()


def test_only_the_first_are_read(judged: Judged) -> None:
    """At depth 2 the answer, which comes last, is out of reach."""
    contents = {row: CONTENTS[row] for row in judged.rows(2)}
    assert len(judged.pairs(contents, 2)) == 4
    assert rerank_card.reranked_ndcg(judged, knowing(), dict(enumerate(CONTENTS)), 5) == 1
    assert rerank_card.reranked_ndcg(judged, knowing(), contents, 2) < 0.5
