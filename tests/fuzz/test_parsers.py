"""No bytes, however they came about, get more out of a parser than an error of ours.

`search.py` looks for such bytes for as long as you like, guided by the lines that they reach; this feeds
what it kept to the parsers, and changes sound inputs some thousand times.
"""

from __future__ import annotations

import random
from collections import Counter

import parsers
import pytest

CHANGED = {"archive": 5_000, "manifest": 15_000}
"""Executions, by what one takes; of the others 100,000."""

TOKENS = (
    b"0",
    b"-1",
    b"9" * 30,
    b"1e999",
    b".nan",
    b"null",
    b"{}",
    b"[",
    b"\n  - ",
    b": ",
    b"\0",
    b"\xff\xfe",
    b"&a *a",
)


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_what_was_kept(name: str) -> None:
    """Whatever once reached new lines, or was once too much."""
    for data in parsers.kept(name):
        parsers.feed(name, data)


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_sound_inputs(name: str) -> None:
    """Are read; so what is refused below is refused for its changes."""
    assert [parsers.feed(name, seed) for seed in parsers.seeds(name)] == ["read"] * len(parsers.seeds(name))


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_changed_inputs(name: str) -> None:
    """Each with one to four changes; some are still read, some are refused."""
    chance = random.Random(name)
    samples = [*parsers.seeds(name), *(parsers.kept(name) or [b""])]
    results: Counter[str] = Counter()
    for _ in range(CHANGED.get(name, 100_000)):
        data = chance.choice(samples)
        for _ in range(chance.randint(1, 4)):
            data = changed(data, chance, samples)
        results[parsers.feed(name, data)] += 1
    assert results.total() > results["read"]
    assert results["read"] > 0 or name == "archive"  # which has a checksum for nearly everything


def test_every_byte_of_a_manifest() -> None:
    """Another one in its place: an error of ours, or a manifest that is as it reads."""
    results: Counter[str] = Counter()
    sound = parsers.seeds("manifest")[-1]
    for place in range(len(sound)):
        data = bytearray(sound)
        data[place] ^= (0x01, 0x20, 0x80)[place % 3]
        results[parsers.feed("manifest", bytes(data))] += 1
    assert set(results) == {"read", "ManifestError", "CompatibilityError"}


def changed(data: bytes, chance: random.Random, samples: list[bytes]) -> bytes:
    """With a bit flipped, a span removed, repeated, overwritten or brought from elsewhere, or cut short."""
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.choice((1, 2, 8, 64)))
    other = chance.choice(samples)
    there = chance.randint(0, len(other))
    middle = {
        "flip": bytes(byte ^ 1 << chance.randrange(8) for byte in data[start : start + 1])
        + data[start + 1 : end],
        "remove": b"",
        "repeat": data[start:end] * 2,
        "overwrite": chance.choice(TOKENS),
        "insert": chance.choice(TOKENS) + data[start:end],
        "bring": other[there : there + 64],
    }
    how = chance.choice([*middle, "cut"])
    return data[:start] if how == "cut" else data[:start] + middle[how] + data[end:]
