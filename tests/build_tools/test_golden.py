"""Queries with known answers, written and brought up to another index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edge_runtime
from build_tools import golden


def test_golden_queries(bundle: Path) -> None:
    """What is written is what the bundle answers."""
    lines = [json.loads(line) for line in (bundle / golden.FILENAME).read_text("utf-8").splitlines()]
    assert len(lines) == 4
    for encoder in ("layers2", "static"):
        with edge_runtime.open(bundle, encoder=encoder) as retriever:
            for line in lines:
                assert line["tokens"].keys() == {"layers2", "static"}
                assert line["tokens"][encoder] == retriever.tokenize(line["query"])
                vector = retriever.encode([line["query"]])[0]
                assert np.array(line["vector"][encoder]) == pytest.approx(vector, abs=1e-6)
                assert len(line["passages"][encoder]) == golden.PASSAGES


def test_the_same_index_gives_the_same_bytes(bundle_copy: Path) -> None:
    """Nothing changes where nothing has to."""
    before = (bundle_copy / golden.FILENAME).read_bytes()
    golden.find_again(bundle_copy)
    assert (bundle_copy / golden.FILENAME).read_bytes() == before
