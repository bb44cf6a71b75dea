"""Sentences of real data sets with the teacher's vectors, and as many more as are wanted, resampled.

Up to the number of real ones, a passage is a sentence. Beyond, its text joins halves of two sentences, so
that words keep their frequencies, and its vector is a sentence's, moved by noise of the corpus' own
covariance as far as sentences are apart from their nearest neighbours.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from build_tools.progress import Progress
from build_tools.towers import Tower

_SHORTEST, _LONGEST = 25, 300  # characters of a sentence
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\n+")
_SHARD = 10_000
_SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class Real:
    """Sentences and their unit vectors, float32 (n, ndim)."""

    texts: Sequence[str]
    vectors: NDArray[np.float32]

    def nearness(self) -> float:
        """The median cosine of a sentence to its nearest neighbour."""
        sample = self.vectors[:_SAMPLE]
        cosines = sample @ self.vectors.T
        cosines[np.arange(len(sample)), np.arange(len(sample))] = -1
        return float(np.median(cosines.max(axis=1)))


def sentences(folders: Sequence[Path], most: int) -> list[str]:
    """Different sentences of BEIR folders, in an order of their own."""
    found: set[str] = set()
    for folder in folders:
        with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                pieces = (" ".join(piece.split()) for piece in _BREAK.split(json.loads(line).get("text", "")))
                found.update(piece for piece in pieces if _SHORTEST < len(piece) < _LONGEST)
    ordered = sorted(found)
    random.Random(0).shuffle(ordered)
    return ordered[:most]


def encode(texts: Sequence[str], tower: Tower, folder: Path, progress: Progress) -> Real:
    """Encodes what is not in `folder` yet; interrupted, it goes on with what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    with progress.task("encoding", total=len(texts), unit="sentences") as advance:
        for start in range(0, len(texts), _SHARD):
            some, path = texts[start : start + _SHARD], folder / f"{start}-{len(texts)}.npy"
            if not path.exists():
                unfinished = path.with_suffix(".new.npy")
                np.save(unfinished, tower.encode_documents(some))
                unfinished.replace(path)
            shards.append(np.load(path))
            advance(len(some))
    return Real(texts, np.concatenate(shards))


def vectors(real: Real, count: int, path: Path) -> NDArray[np.float32]:
    """float32 (count, ndim), mapped at `path`: the real ones, then resampled ones."""
    ndim = real.vectors.shape[1]
    made: Any = open_memmap(path, mode="w+", dtype=np.float32, shape=(count, ndim))
    known = min(count, len(real.texts))
    made[:known] = real.vectors[:known]
    if known < count:
        chance = np.random.default_rng(0)
        centred = real.vectors - real.vectors.mean(axis=0)
        shape = np.linalg.cholesky(np.cov(centred.T) + 1e-9 * np.eye(ndim)).astype(np.float32)
        nearness = real.nearness()
        spread = np.sqrt(1 / nearness**2 - 1) / np.sqrt(np.trace(shape @ shape.T))
        for start in range(known, count, _SHARD):
            size = min(_SHARD, count - start)
            noise = chance.standard_normal((size, ndim), np.float32) @ shape.T * np.float32(spread)
            moved = real.vectors[chance.integers(0, known, size)] + noise
            made[start : start + size] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    made.flush()
    return np.load(path, mmap_mode="r")


def texts(real: Real, count: int) -> Iterator[str]:
    """As many texts: the real ones, then such as are joined from halves of two."""
    known = min(count, len(real.texts))
    yield from real.texts[:known]
    chance = random.Random(0)
    for _ in range(known, count):
        one, two = chance.choice(real.texts).split(), chance.choice(real.texts).split()
        yield " ".join([*one[: len(one) // 2], *two[len(two) // 2 :]])
