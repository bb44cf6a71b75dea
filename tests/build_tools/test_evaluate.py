"""The quality figures on examples that are computed by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from build_tools.evaluate import DEPTH, Questions, VectorSpace, agreement, measure, ndcg_by_query, parity


def questions(judgements: dict[str, dict[str, int]]) -> Questions:
    """Judged queries whose texts do not matter."""
    return Questions("labels", {query: f"text of {query}" for query in judgements}, judgements)


def ranked(*keys: str) -> list[tuple[str, float]]:
    """A ranking with falling scores."""
    return [(key, 1.0 - place / 100) for place, key in enumerate(keys)]


def test_graded_relevance() -> None:
    """nDCG by the graded gains, recall and reciprocal rank by whether there is any."""
    row = measure("s", [ranked("b", "a", "c")], questions({"q": {"a": 1, "c": 2, "d": 0}}))
    expected = (1 / log2(3) + 2 / log2(4)) / (2 / log2(2) + 1 / log2(3))
    assert row.ndcg_10 == pytest.approx(expected, abs=5e-5)
    assert (row.recall_10, row.recall_100, row.mrr_10) == (1, 1, 0.5)
    assert (row.retention, row.bytes) == (None, None)


def test_grades_below_zero() -> None:
    """As TREC gives them to spam: not relevant, also where a query has no others."""
    row = measure("s", [ranked("b", "a"), ranked("b")], questions({"q": {"a": 1, "b": -2}, "r": {"b": -2}}))
    assert row.ndcg_10 == pytest.approx(1 / log2(3) / 2, abs=5e-5)
    assert row.mrr_10 == 0.25


def test_what_lies_beyond_the_tenth_place() -> None:
    """Counts for recall@100 only."""
    others = [f"x{number}" for number in range(10)]
    row = measure("s", [ranked(*others, "a")], questions({"q": {"a": 1}}))
    assert (row.ndcg_10, row.recall_10, row.mrr_10, row.recall_100) == (0, 0, 0, 1)


def test_figures_are_means_over_queries() -> None:
    """A query without any answer counts as nought."""
    judged = questions({"q": {"a": 1}, "r": {"b": 1}})
    row = measure("s", [ranked("a"), []], judged, teacher=0.8, size=7)
    assert (row.ndcg_10, row.recall_10, row.mrr_10) == (0.5, 0.5, 0.5)
    assert (row.retention, row.bytes) == (0.625, 7)


def test_nothing_is_found_at_all() -> None:
    """All figures are nought; so is the retention."""
    row = measure("s", [[], []], questions({"q": {"a": 1}, "r": {"b": 1}}), teacher=0.5)
    assert (row.ndcg_10, row.recall_100, row.mrr_10, row.retention) == (0, 0, 0, 0)


@pytest.mark.parametrize("keys", [("a", "b"), ("b", "a")])
def test_equal_scores_keep_the_order_that_the_user_sees(keys: tuple[str, str]) -> None:
    """Reciprocal rank fusion gives equal scores often; the names of documents must not decide."""
    row = measure("s", [[(key, 0.5) for key in keys]], questions({"q": {keys[0]: 1}}))
    assert row.mrr_10 == 1


def test_documents_are_ranked_by_their_best_passage() -> None:
    """One place a document, with the score of its best passage."""
    vectors = np.array([[0, 1], [1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    space = VectorSpace(vectors, np.array([0, 0, 1, 2], np.int32), ["a", "b", "c"])
    [[*ranking]] = space.rank(np.array([[1, 0]], np.float32))
    assert [key for key, _ in ranking] == ["a", "c", "b"]
    assert [score for _, score in ranking] == pytest.approx([1, 0.8, 0.6])


def test_many_queries_and_documents() -> None:
    """Queries go in blocks; each ranking ends at the depth, equal documents in the order of their numbers."""
    keys = [f"d{number}" for number in range(300)]
    space = VectorSpace(np.ones((300, 1), np.float32), np.arange(300, dtype=np.int32), keys)
    rankings = space.rank(np.ones((70, 1), np.float32))
    assert len(rankings) == 70
    assert all([key for key, _ in ranking] == keys[:DEPTH] for ranking in rankings)


def test_agreement() -> None:
    """The teacher's ten best are relevant, so that the teacher itself is perfect."""
    rankings = [ranked(*(f"d{number}" for number in range(start, start + 30))) for start in (0, 5)]
    asked = agreement(["one", "one"], rankings)
    assert asked.basis == "teacher"
    assert list(asked.texts.values()) == ["one", "one"]
    assert [list(documents) for documents in asked.judgements.values()] == [
        [f"d{number}" for number in range(start, start + 10)] for start in (0, 5)
    ]
    assert measure("teacher", rankings, asked).ndcg_10 == 1


def test_parity() -> None:
    """Mean and least cosine."""
    reference = np.array([[1, 0], [0, 1]], np.float32)
    compiled = np.array([[1, 0], [0.6, 0.8]], np.float32)
    found = parity("e", compiled, reference)
    assert (found.encoder, found.texts) == ("e", 2)
    assert (found.cosine_mean, found.cosine_min) == pytest.approx((0.9, 0.8))


def test_each_query_by_itself() -> None:
    """In the order of the texts; of equal scores the place counts, and what is not found is 0."""
    judged = questions(
        {"first": {"d1": 1}, "second": {"d2": 2, "d1": 1}, "none": {"d3": 0}, "lost": {"d9": 1}}
    )
    rankings = [ranked("d0", "d1"), [("d1", 0.5), ("d2", 0.5)], ranked("d3"), []]
    found = ndcg_by_query(rankings, judged)
    second = (1 + 2 / log2(3)) / (2 + 1 / log2(3))
    assert found.tolist() == pytest.approx([1 / log2(3), second, 0, 0])
    assert found.mean() == pytest.approx(measure("x", rankings, judged).ndcg_10, abs=5e-5)
