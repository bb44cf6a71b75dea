"""A bounded uniform sample of the different texts in a stream."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.distill.reservoir import Reservoir


def sample(texts: list[str], size: int, seed: int = 0) -> list[str]:
    """What a reservoir keeps of a stream."""
    reservoir = Reservoir(size, seed)
    reservoir.extend(texts)
    return reservoir.texts


def test_it_is_uniform() -> None:
    """Over many seeds each text is kept about equally often."""
    counts: Counter[str] = Counter()
    for seed in range(2000):
        kept = sample([str(item) for item in range(20)], 5, seed)
        assert len(set(kept)) == 5
        counts.update(kept)
    assert min(counts.values()) > 400
    assert max(counts.values()) < 600


def test_repetition_does_not_count() -> None:
    """A text that comes a thousand times is as likely to be kept as one that comes once."""
    kept = Counter(text for seed in range(500) for text in sample(["a"] * 100 + list("bcdefghij"), 2, seed))
    assert 50 < kept["a"] < 150


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=3), max_size=40), st.integers(0, 10))
def test_order_does_not_count(texts: list[str], size: int) -> None:
    """The same texts in another order give the same sample; a smaller one is its beginning."""
    kept = sample(texts, size)
    assert kept == sample(texts[::-1], size)
    assert len(kept) == min(size, len(set(texts)))
    assert sample(texts, size // 2) == kept[: size // 2]


def test_seeds_differ() -> None:
    """Another seed, another sample."""
    texts = [str(item) for item in range(100)]
    assert sample(texts, 10, 1) != sample(texts, 10, 2)
    assert sample(texts, 0) == []
