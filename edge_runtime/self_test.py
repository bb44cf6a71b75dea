"""Replays a bundle's golden queries on this device: the same tokens, vectors and passages as at the build.

Sound files are not enough. An engine can be an old version, or kernels for a processor can be wrong, and the
vectors garbage without a word: tflite-runtime 2.14 does that to files that were not made for it. So each
encoder runs the golden queries, in a process of its own, for it may crash.

golden.jsonl has one object a line: ``query``, and by encoder id ``tokens`` (ids), ``vector`` (ndim
components) and ``passages`` (rows of the dense index, nearest first).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime import device_config, encoders, golden_pairs, process, schema
from edge_runtime.bundle import Bundle, read_manifest
from edge_runtime.dense import DenseIndex
from edge_runtime.errors import BundleError, EngineError, SelfTestError
from edge_runtime.golden_pairs import PairReplay
from edge_runtime.manifest import EncoderSpec
from edge_runtime.schema import SchemaError
from edge_runtime.tokenizer import Tokenizer

COSINE = 0.99
"""The least to the build's vector. x86 and ARM kernels differ by .001 to .005; garbage is below .5."""

FOUND_WITHIN = 10
"""The build's nearest passage must be among so many: rounding may swap neighbours."""

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Golden:
    """One line of golden.jsonl."""

    query: str
    tokens: Mapping[str, tuple[int, ...]]
    vector: Mapping[str, tuple[float, ...]]
    passages: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Replay:
    """One encoder's golden queries, all of them as at the build.

    Attributes:
        engine: name and version of what ran it.
        cosine: the least, to the build's vectors.
    """

    encoder: str
    engine: str
    queries: int
    cosine: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was replayed.

    Attributes:
        skipped: encoders that this device cannot run, with the reason by id; and "reranker", if it cannot.
        reranker: its pairs; None where there is none, or it is skipped.
    """

    replays: tuple[Replay, ...]
    skipped: Mapping[str, str]
    reranker: PairReplay | None = None


def replay(bundle: str | os.PathLike[str]) -> Outcome:
    """Replays the golden queries of every encoder that this device can run, and the reranker's pairs.

    Args:
        bundle: the directory, its files verified.

    Raises:
        SelfTestError: an encoder, or the reranker, does not give what it gave at the build.
        EngineError: no encoder can run here, or one fails.
        BundleError: golden.jsonl or another file cannot be used.
        ConfigError: the device's configuration cannot be used.
        Error: the process died or hung.
    """
    manifest = read_manifest(Path(bundle))
    obstacles = {spec.id: encoders.obstacle(spec) for spec in manifest.encoders}
    usable = [encoder for encoder, obstacle in obstacles.items() if obstacle is None]
    skipped = {encoder: obstacle for encoder, obstacle in obstacles.items() if obstacle is not None}
    if not usable:
        reasons = "\n".join(f"  {encoder} {obstacle}" for encoder, obstacle in skipped.items())
        raise EngineError(f"{bundle}: no encoder can run on this device:\n{reasons}")
    replays = [_in_new_process(os.fspath(bundle), encoder) for encoder in usable]
    pairs = None
    if manifest.reranker is not None:
        if obstacle := encoders.no_engine(manifest.reranker.kind):
            skipped["reranker"] = obstacle
        else:
            pairs = golden_pairs.replay(os.fspath(bundle))
    return Outcome(tuple(replays), skipped, pairs)


def main() -> None:
    """Takes the bundle's directory and an encoder's id as JSON on stdin; prints a `Replay` as JSON."""
    process.reply(lambda request: asdict(_replay(request["bundle"], request["encoder"])))


def _in_new_process(bundle: str, encoder: str) -> Replay:
    request = {"bundle": bundle, "encoder": encoder}
    answer = process.call("self_test", request, about=f"encoder {encoder}", timeout_seconds=TIMEOUT_SECONDS)
    return Replay(**answer)


def _replay(directory: str, encoder: str) -> Replay:
    bundle = Bundle.open(directory, verify="size")
    spec = bundle.manifest.encoder(encoder)
    tokenizer = Tokenizer.load(bundle.path(spec.tokenizer), max_tokens=spec.max_tokens)
    engine = encoders.load(bundle, spec, config=device_config.read())
    dense = DenseIndex.open(bundle, bundle.manifest.index)
    try:
        lines = _read(bundle.path(bundle.manifest.golden), spec)
        cosines = []
        for number, line in enumerate(lines, 1):
            where = f"{directory}: encoder {encoder} on {engine.engine}, golden query {number}"
            ids = tokenizer.encode(spec.prompt + line.query)
            if tuple(ids) != line.tokens[encoder]:
                raise SelfTestError(
                    f"{where}: tokens {ids}; expected {list(line.tokens[encoder])}; "
                    "install the version of tokenizers that the manifest names"
                )
            vector = engine.encode(ids)
            cosines.append(_cosine(vector, line.vector[encoder]))
            if not cosines[-1] >= COSINE:  # true for NaN as well
                raise SelfTestError(
                    f"{where}: cosine {cosines[-1]:.3f} to the vector of the build; expected at least "
                    f"{COSINE}; this engine computes it wrongly here: install another version of it, or use "
                    "another encoder"
                )
            _check_found(dense, vector, line.passages[encoder], where)
    finally:
        dense.close()
        engine.close()
        bundle.close()
    return Replay(encoder, engine.engine, len(lines), round(min(cosines), 6))


def _read(path: Path, spec: EncoderSpec) -> list[Golden]:
    """Every line, checked."""
    lines = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = schema.decode(Golden, json.loads(text))
        except (ValueError, RecursionError, SchemaError) as error:
            raise BundleError(f"{path}, line {number}: {error}; rebuild the bundle") from None
        if any(spec.id not in part for part in (line.tokens, line.vector, line.passages)):
            raise BundleError(f"{path}, line {number}: nothing for encoder {spec.id}; rebuild the bundle")
        if len(line.vector[spec.id]) != spec.ndim or not line.passages[spec.id]:
            raise BundleError(
                f"{path}, line {number}: expected {spec.ndim} components and a passage for encoder "
                f"{spec.id}; rebuild the bundle"
            )
        lines.append(line)
    if not lines:
        raise BundleError(f"{path}: has no query, so nothing can be tested; rebuild the bundle")
    return lines


def _cosine(vector: NDArray[np.float32], expected: tuple[float, ...]) -> float:
    """Of a unit vector and one that was rounded to six digits."""
    other = np.array(expected, np.float64)
    return float(vector @ other / np.sqrt(other @ other))


def _check_found(
    dense: DenseIndex,
    vector: NDArray[np.float32],
    passages: tuple[int, ...],
    where: str,
) -> None:
    found = dense.search(vector, FOUND_WITHIN).rows.tolist()
    if passages[0] not in found:
        raise SelfTestError(
            f"{where}: the index finds rows {found}; expected {passages[0]} among them; rebuild the bundle, "
            "and look at the version of usearch that the manifest names"
        )
