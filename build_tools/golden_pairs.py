"""The reranker's known answers: pairs of a golden query and a passage, with the score that they must get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from build_tools.golden import FILENAME as GOLDEN
from edge_runtime.bundle import Bundle
from edge_runtime.documents import Documents
from edge_runtime.golden_pairs import GoldenPair
from edge_runtime.reranker import Reranker

MAX_QUERIES = 8
"""Two pairs each: its own passage and that of another query, so that scores differ."""


def write(directory: Path) -> None:
    """Writes them for a drafted bundle with a reranker whose golden queries are there.

    Raises:
        Error: the reranker cannot be run here.
    """
    bundle = Bundle.open(directory, verify="size")
    spec = bundle.manifest.reranker
    assert spec is not None
    documents = Documents.open(bundle, bundle.manifest.documents)
    model = Reranker.load(bundle, spec)
    lines = [_pair(model, documents, query, row) for query, row in _chosen(directory)]
    text = "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)
    (directory / spec.golden).write_text(text, "utf-8")
    model.close()
    documents.close()
    bundle.close()


def _chosen(directory: Path) -> Iterator[tuple[str, int]]:
    lines = [json.loads(line) for line in (directory / GOLDEN).read_bytes().splitlines()[:MAX_QUERIES]]
    first = [next(iter(line["passages"].values()))[0] for line in lines]
    for number, line in enumerate(lines):
        for row in dict.fromkeys((first[number], first[number - 1])):
            yield line["query"], row


def _pair(model: Reranker, documents: Documents, query: str, row: int) -> GoldenPair:
    (record,) = documents.fetch([row])
    tokens = model.tokenize(query, record.content)
    score = round(model.score(tokens), 6)
    return GoldenPair(query, row, tuple(tokens.ids), tuple(tokens.types), score)
