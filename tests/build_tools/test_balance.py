"""The balance of meaning and words, learnt from judged queries of a corpus where one of them is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from build_tools import balance, lexical
from build_tools.evaluate import Questions
from build_tools.first_stage import FirstStage, open_words
from build_tools.recipe import FusionSpec, LexicalSpec
from edge_runtime import manifest

TOPICS = ("yeast", "wheel", "anchor", "fever", "prune", "speaker", "saddle", "compost")
SPEC = manifest.FusionSpec(method="weighted", balance=1.6, cosine_mean=0.0, cosine_spread=0.3)


@pytest.fixture
def first(tmp_path: Path) -> FirstStage:
    """A passage a topic that names it twice, and a unit vector of its own."""
    spec = lexical.write([f"{topic} and {topic}" for topic in TOPICS], tmp_path, spec=LexicalSpec())
    owners = np.arange(len(TOPICS), dtype=np.int32)
    return FirstStage(np.eye(8, dtype=np.float32), owners, open_words(tmp_path, spec), FusionSpec(depth=8))


def asked(*, by_words: bool) -> tuple[Questions, NDArray[np.float32]]:
    """A query a topic: its words name one passage, its vector is the next one's; one of both is right."""
    right = [place if by_words else (place + 1) % 8 for place in range(8)]
    texts = {str(place): topic for place, topic in enumerate(TOPICS)}
    judgements = {str(place): {TOPICS[found]: 1} for place, found in enumerate(right)}
    return Questions("labels", texts, judgements), np.roll(np.eye(8, dtype=np.float32), 1, axis=1)


@pytest.mark.parametrize("by_words", [True, False])
def test_who_is_right_gets_the_weight(first: FirstStage, by_words: bool) -> None:
    """The nearest balance under which every query finds its answer first."""
    questions, vectors = asked(by_words=by_words)
    learnt = balance.learn(SPEC, questions, vectors, first, TOPICS)
    assert learnt.ndcg == 1
    assert learnt.ndcg >= learnt.before
    assert (learnt.balance < SPEC.balance) == (learnt.before < 1)


def test_what_makes_no_difference_changes_nothing(first: FirstStage) -> None:
    """Where any balance finds the answers, the recipe's own stays."""
    texts = {str(place): topic for place, topic in enumerate(TOPICS)}
    questions = Questions("labels", texts, {number: {topic: 1} for number, topic in texts.items()})
    learnt = balance.learn(SPEC, questions, np.eye(8, dtype=np.float32), first, TOPICS)
    assert (learnt.balance, learnt.ndcg, learnt.before) == (SPEC.balance, 1.0, 1.0)


def test_one_query_proves_nothing(first: FirstStage) -> None:
    """It has no standard error."""
    questions, vectors = asked(by_words=True)
    one = Questions("labels", {"0": questions.texts["0"]}, {"0": questions.judgements["0"]})
    assert balance.learn(SPEC, one, vectors[:1], first, TOPICS).balance == SPEC.balance
