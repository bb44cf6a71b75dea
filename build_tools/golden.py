"""Writes golden.jsonl: queries with known answers, which a device replays before it trusts a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edge_runtime
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex

FILENAME = "golden.jsonl"
PASSAGES = 5
"""Rows kept of each query's ranking."""


def write(directory: Path, texts: Sequence[str]) -> None:
    """Writes what each encoder of a drafted bundle makes of these texts, and the rows it finds first."""
    bundle = Bundle.open(directory, verify="size")
    ids = [spec.id for spec in bundle.manifest.encoders]
    dense = DenseIndex.open(bundle, bundle.manifest.index)
    lines: list[dict[str, Any]] = [
        {"query": text, "tokens": {}, "vector": {}, "passages": {}} for text in texts
    ]
    for encoder_id in ids:
        with edge_runtime.open(directory, encoder=encoder_id, verify="size") as retriever:
            for line, vector in zip(lines, retriever.encode(texts), strict=True):
                line["tokens"][encoder_id] = retriever.tokenize(line["query"])
                line["vector"][encoder_id] = [round(float(value), 6) for value in vector]
                line["passages"][encoder_id] = dense.search(vector, PASSAGES).rows.tolist()
    dense.close()
    bundle.close()
    _save(lines, directory)


def find_again(directory: Path) -> None:
    """Brings the rows of a drafted bundle's golden queries up to its index; the rest of each line stays.

    By the vectors that are written there, so no engine is needed.
    """
    lines = [json.loads(line) for line in (directory / FILENAME).read_bytes().splitlines()]
    bundle = Bundle.open(directory, verify="size")
    dense = DenseIndex.open(bundle, bundle.manifest.index)
    for line in lines:
        for encoder, vector in line["vector"].items():
            found = dense.search(np.array(vector, np.float32), PASSAGES)
            line["passages"][encoder] = found.rows.tolist()
    dense.close()
    bundle.close()
    _save(lines, directory)


def _save(lines: Sequence[dict[str, Any]], directory: Path) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (directory / FILENAME).write_text(text, "utf-8")
