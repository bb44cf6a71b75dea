"""The static student: its sum of rows, its pairs, and that it learns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from build_tools.distill import static
from build_tools.distill.batches import pad
from build_tools.distill.encoder import encode_tokens
from build_tools.distill.static import StaticShape, StaticStudent, frequent_pairs, macs, untrained

VOCABULARY, NDIM = 30, 8
KEYS = np.array([0, 2 * VOCABULARY + 3, 3 * VOCABULARY + 2, 7 * VOCABULARY + 7, VOCABULARY**2 - 1], np.int64)
SEQUENCES = [[2, 3], [2], [3, 2, 3, 2], [7, 7, 7], [29, 29, 1, 0, 0], [5, 9, 11, 4, 8, 6]]


def student(keys: NDArray[np.int64] = KEYS) -> StaticStudent:
    """Random in all that training moves."""
    torch.manual_seed(0)
    module = untrained(torch.randn(VOCABULARY, NDIM).numpy(), keys)
    with torch.no_grad():
        module.table.weight[VOCABULARY:] = torch.randn(len(keys), NDIM)
        module.weights.weight.copy_(torch.randn(VOCABULARY + len(keys), 1))
        module.head.weight.copy_(torch.randn(NDIM, NDIM))
    return module.eval()


def by_hand(module: StaticStudent, ids: list[int], *, pairs: bool = True) -> NDArray[np.float64]:
    """The definition, one row after the other."""
    table = module.table.weight.detach().numpy().astype(np.float64)
    weights = module.weights.weight.detach().numpy().astype(np.float64)[:, 0]
    keys = module.keys.tolist()
    rows = list(ids)
    for left, right in pairwise(ids):
        if pairs and left * VOCABULARY + right in keys:
            rows.append(VOCABULARY + keys.index(left * VOCABULARY + right))
    total = np.zeros(NDIM)
    for row in rows:
        total += weights[row] * table[row]
    turned = module.head.weight.detach().numpy().astype(np.float64) @ total
    unit: NDArray[np.float64] = turned / np.linalg.norm(turned)
    return unit


@pytest.mark.parametrize("keys", [KEYS, KEYS[:0]])
def test_the_forward_pass_is_the_definition(keys: NDArray[np.int64]) -> None:
    """Padded into one batch or alone, with pairs and without any."""
    module = student(keys)
    expected = np.stack([by_hand(module, ids) for ids in SEQUENCES])
    with torch.no_grad():
        batch = module(*pad(SEQUENCES)).numpy()
        alone = np.concatenate([module(*pad([ids])).numpy() for ids in SEQUENCES])
    np.testing.assert_allclose(batch, expected, atol=1e-5)
    np.testing.assert_allclose(alone, expected, atol=1e-5)


@pytest.mark.parametrize("mask", [[1, 0], [0, 1]])
def test_a_pair_counts_only_where_both_tokens_are_present(mask: list[int]) -> None:
    """Padding makes no pair, on either side: 0 0 is a known one."""
    module = student()
    with torch.no_grad():
        masked = module(torch.tensor([[0, 0]]), torch.tensor([mask]))[0].numpy()
    np.testing.assert_allclose(masked, by_hand(module, [0]), atol=1e-5)


def test_pairs_are_left_out_in_training_only() -> None:
    """Of about half the texts, all pairs of a text together."""
    module, ids = student(), [3, 2, 3, 2]
    batch = pad([ids] * 400)
    whole, without = by_hand(module, ids), by_hand(module, ids, pairs=False)
    assert np.abs(whole - without).max() > 0.01
    with torch.no_grad():
        trained = module.train()(*batch).numpy()
        evaluated = module.eval()(*batch).numpy()
    has = np.abs(trained - whole).max(1) < 1e-5
    lacks = np.abs(trained - without).max(1) < 1e-5
    assert (has ^ lacks).all()
    assert 140 < lacks.sum() < 260
    np.testing.assert_allclose(evaluated, np.tile(whole, (400, 1)), atol=1e-5)


def test_folded_rows_are_the_forward_pass_but_for_the_length() -> None:
    """Weights and head are in them."""
    module = student()
    rows = module.folded()
    assert rows.shape == (VOCABULARY + len(KEYS), NDIM)
    summed = rows[[2, 3, VOCABULARY + 1]].sum(0)
    with torch.no_grad():
        [vector] = module(*pad([[2, 3]])).numpy()
    np.testing.assert_allclose(summed / np.linalg.norm(summed), vector, atol=1e-5)


def test_untrained_it_sums_the_teachers_vectors() -> None:
    """Weights are one, the head turns nothing, pairs add nothing."""
    vectors = np.random.default_rng(0).standard_normal((VOCABULARY, NDIM)).astype(np.float32)
    module = untrained(vectors, KEYS)
    total = vectors[2] + vectors[3]
    [vector] = encode_tokens(module, [[2, 3]])
    np.testing.assert_allclose(vector, total / np.linalg.norm(total), atol=1e-6)
    assert module.shape == StaticShape(VOCABULARY, len(KEYS), NDIM)
    np.testing.assert_array_equal(module.folded()[:VOCABULARY], vectors)


def test_rows_that_sum_to_nothing() -> None:
    """Zeros rather than not-a-numbers, and a gradient that is a number."""
    module = StaticStudent(StaticShape(4, 0, NDIM))
    vectors = module(*pad([[1, 2]]))
    assert vectors.tolist() == [[0.0] * NDIM]
    vectors.sum().backward()
    assert module.table.weight.grad is not None
    assert module.table.weight.grad.isfinite().all()


def test_frequent_pairs() -> None:
    """The most frequent ones, keys rising; equal counts by key; rare ones never."""
    texts = [[1, 2, 3]] * 5 + [[9, 8]] * 4 + [[4, 5]] * 4 + [[6, 7]] * (static.LEAST_COUNT - 1)
    keys = [1 * 10 + 2, 2 * 10 + 3, 4 * 10 + 5, 9 * 10 + 8]
    for count, kept in ((9, keys), (4, keys), (3, keys[:3]), (2, keys[:2]), (1, keys[:1]), (0, [])):
        found = frequent_pairs(texts, vocabulary=10, count=count)
        assert found.dtype == np.int64
        assert found.tolist() == kept
    assert frequent_pairs([], vocabulary=10, count=3).shape == (0,)


@given(st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=12), st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_frequent_pairs_are_sound(texts: list[list[int]], count: int) -> None:
    """At most as many as asked for, strictly rising, and none left out occurs more often than one kept."""
    times: dict[int, int] = {}
    for ids in texts:
        for left, right in pairwise(ids):
            times[left * 5 + right] = times.get(left * 5 + right, 0) + 1
    kept = frequent_pairs(texts, vocabulary=5, count=count).tolist()
    assert kept == sorted(set(kept))
    enough = [key for key, number in times.items() if number >= static.LEAST_COUNT]
    assert len(kept) == min(count, len(enough))
    left_out = [times[key] for key in enough if key not in kept]
    assert not kept or not left_out or min(times[key] for key in kept) >= max(left_out)


def test_it_learns() -> None:
    """Vectors that no sum of the tokens' own can give: order matters, so the pairs must."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    texts = [[left, right] for left in range(5) for right in range(5) if left != right]
    keys = frequent_pairs(texts * static.LEAST_COUNT, vocabulary=5, count=99)
    targets = torch.nn.functional.normalize(torch.randn(len(texts), NDIM), dim=1)
    module = untrained(rng.standard_normal((5, NDIM)).astype(np.float32), keys)
    before = float((encode_tokens(module, texts) * targets.numpy()).sum(1).mean())
    optimizer = torch.optim.AdamW(module.parameter_groups(0.02, True))
    for _ in range(150):
        module.train()
        optimizer.zero_grad()
        loss = 1 - (module(*pad(texts)) * targets).sum(1).mean()
        loss.backward()
        optimizer.step()
    after = (encode_tokens(module, texts) * targets.numpy()).sum(1)
    assert before < 0.5
    assert after.mean() > 0.95


def test_parameter_groups_hold_every_parameter_once() -> None:
    """The weights of the tokens with a rate of their own."""
    module = student()
    groups = module.parameter_groups(0.1, train_embeddings=False)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in module.parameters())
    assert [group["lr"] for group in groups] == [0.1, pytest.approx(0.1 * static.WEIGHT_RATE)]


@pytest.mark.parametrize(
    ("bigrams", "tokens", "expected"), [(0, 16, 16 * 8), (5, 16, 31 * 8), (5, 1, 8), (5, 0, 0)]
)
def test_macs(bigrams: int, tokens: int, expected: int) -> None:
    """A multiply-add for each component of each row that may be read."""
    assert macs(StaticShape(30, bigrams, 8), tokens) == expected
