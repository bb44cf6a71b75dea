"""Replays the pairs whose scores the bundle's reranker gave at the build, in a process of its own.

For what a golden query proves of an encoder (see `self_test`). The file has one object a line: ``query``,
``row`` (of the passage), ``tokens`` and ``types`` (what the model is given), and ``score``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_runtime import device_config, process, schema
from edge_runtime.bundle import Bundle
from edge_runtime.documents import Documents
from edge_runtime.errors import BundleError, SelfTestError
from edge_runtime.manifest import Manifest
from edge_runtime.reranker import Reranker
from edge_runtime.schema import SchemaError

SHARE = 0.25
"""How far a score may be from the build's, as a share of the span of all. Processors round otherwise; but an
engine that gives every pair the same number is off by half of the span somewhere."""

LEAST = 0.05
"""The same in absolute terms, where all scores are nearly equal."""

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class GoldenPair:
    """One line of the file."""

    query: str
    row: int
    tokens: tuple[int, ...]
    types: tuple[int, ...]
    score: float


@dataclass(frozen=True, slots=True)
class PairReplay:
    """The reranker's golden pairs, all of them as at the build.

    Attributes:
        engine: name and version of what ran it.
        deviation: the largest, from the build's scores.
    """

    engine: str
    pairs: int
    deviation: float


def replay(bundle: str) -> PairReplay:
    """Replays the pairs of a bundle that has a reranker, its files verified.

    Raises:
        SelfTestError: the reranker does not give what it gave at the build.
        EngineError: it cannot be run here.
        BundleError: a file cannot be used.
        Error: the process died or hung.
    """
    request = {"bundle": bundle}
    about = "the reranker"
    return PairReplay(**process.call("golden_pairs", request, about=about, timeout_seconds=TIMEOUT_SECONDS))


def main() -> None:
    """Takes the bundle's directory as JSON on stdin; prints a `PairReplay` as JSON."""
    process.reply(lambda request: asdict(_replay(request["bundle"])))


def _replay(directory: str) -> PairReplay:
    bundle = Bundle.open(directory, verify="size")
    spec = bundle.manifest.reranker
    assert spec is not None
    model = Reranker.load(bundle, spec, config=device_config.read())
    documents = Documents.open(bundle, bundle.manifest.documents)
    try:
        pairs = read(bundle.path(spec.golden), bundle.manifest)
        scores = [pair.score for pair in pairs]
        allowed = max(LEAST, SHARE * (max(scores) - min(scores)))
        deviations = []
        for number, pair in enumerate(pairs, 1):
            where = f"{directory}: reranker on {model.engine}, golden pair {number}"
            deviations.append(_deviation(model, documents, pair, where))
            if not deviations[-1] <= allowed:
                raise SelfTestError(
                    f"{where}: {deviations[-1]:.3f} from the score of the build; expected at most "
                    f"{allowed:.3f}; this engine computes it wrongly here: install another version of it"
                )
    finally:
        documents.close()
        model.close()
        bundle.close()
    return PairReplay(model.engine, len(pairs), round(max(deviations), 6))


def read(path: Path, manifest: Manifest) -> list[GoldenPair]:
    """Every line, checked.

    Raises:
        BundleError: the file has no line, or one that is not as the format says.
    """
    pairs = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            pair = schema.decode(GoldenPair, json.loads(text))
        except (ValueError, RecursionError, SchemaError) as error:
            raise BundleError(f"{path}, line {number}: {error}; rebuild the bundle") from None
        if not 0 <= pair.row < manifest.documents.passages:
            raise BundleError(
                f"{path}, line {number}: row {pair.row}; the bundle has {manifest.documents.passages} "
                "passages; rebuild the bundle"
            )
        pairs.append(pair)
    if not pairs:
        raise BundleError(f"{path}: has no pair, so nothing can be tested; rebuild the bundle")
    return pairs


def _deviation(model: Reranker, documents: Documents, pair: GoldenPair, where: str) -> float:
    (record,) = documents.fetch([pair.row])
    tokens = model.tokenize(pair.query, record.content)
    if (tuple(tokens.ids), tuple(tokens.types)) != (pair.tokens, pair.types):
        raise SelfTestError(
            f"{where}: tokens {tokens.ids}; expected {list(pair.tokens)} with the types of the build; "
            "install the version of tokenizers that the manifest names"
        )
    return abs(model.score(tokens) - pair.score)
