"""How long encoders take for a query, compared with the teacher on the same machine in the same minute."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

import edge_runtime
from build_tools.teacher import Teacher
from edge_runtime.retriever import Retriever

QUERIES = 50
"""Texts that are timed; the first pass over them warms up and is not counted."""


def latency_ratios(
    directory: Path, encoders: Sequence[str], teacher: Teacher, texts: Sequence[str]
) -> dict[str, float]:
    """Median time to encode one query as a share of the teacher's in PyTorch, one thread each, by encoder."""
    chosen = list(texts[:QUERIES])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reference = _median(lambda text: teacher.encode_queries([text]), chosen)
    finally:
        torch.set_num_threads(threads)
    ratios = {}
    for encoder in encoders:
        with edge_runtime.open(directory, encoder=encoder, verify="size") as retriever:
            ratios[encoder] = _median(partial(_encode, retriever), chosen) / reference
    return ratios


def _encode(retriever: Retriever, text: str) -> object:
    return retriever.encode([text])


def _median(encode: Callable[[str], object], texts: Sequence[str]) -> float:
    for text in texts:
        encode(text)
    seconds = []
    for text in texts:
        started = time.perf_counter()
        encode(text)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
