"""Findings of a bundle with two rungs whose documents and queries mean no good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from build_tools.distill.curve import CurvePoint
from build_tools.gates import Gate
from build_tools.quality import Parity, QualityCard, Row
from build_tools.report import write
from build_tools.report.data import (
    Comparison,
    Findings,
    IndexRecall,
    Part,
    QueryOutcome,
    RecallPoint,
    Rung,
    Teacher,
    Timing,
)
from edge_runtime.bench.report import Latency
from edge_runtime.manifest import Licence

HOSTILE = "<script>alert('x')</script><img src=http://example.org/x onerror=alert(1)> & \"quoted\" \x00\ud800"


def latency(milliseconds: float) -> Latency:
    """Times around a median."""
    return Latency("total", 300, milliseconds, milliseconds, *(milliseconds * f for f in (1.2, 1.3, 1.5, 2)))


def rung(name: str, milliseconds: float, ndcg: float) -> Rung:
    """A rung with all its figures, those of vectors drawn at random."""
    rng = np.random.default_rng(int(ndcg * 1000))
    outcomes = (
        QueryOutcome(HOSTILE, 1.0, 0.25, 1, None),
        QueryOutcome("equal", 0.5, 0.5, 2, 2),
        QueryOutcome("אבג " * 200, 0.0, 0.75, 12, 1),
    )
    return Rung(
        id=name,
        what="3 layers",
        bytes=18_072_566,
        encode=latency(milliseconds / 2),
        dense=latency(milliseconds),
        hybrid=latency(milliseconds * 1.4),
        quality=Row(f"{name}, int8, index", ndcg, 0.7, 0.9, 0.6, 0.98, 2_760_060),
        hybrid_quality=Row(f"{name}, hybrid", ndcg + 0.05, 0.8, 0.95, 0.7, 1.07),
        curve=tuple(CurvePoint(step, 1 / (step + 1), 1 - 0.2 / (step + 1), step * 7.0) for step in range(20)),
        to_teacher=tuple(rng.uniform(0.8, 1, 50).tolist()),
        to_pytorch=tuple(rng.uniform(0.99, 1.0000001, 50).tolist()),
        comparison=Comparison((-0.75, 0.0, 0.75), 0.0, -0.5, 0.5, outcomes[2:], outcomes[:1]),
    )


@pytest.fixture(scope="session")
def findings() -> Findings:
    """All that a report can show."""
    rungs = (rung("static", 0.3, 0.612), rung("layers3", 2.1, 0.645))
    teacher = Row("teacher, exact float32", 0.65, 0.75, 0.92, 0.61)
    points = tuple(RecallPoint(expansion, 1 - 1 / expansion, expansion / 500) for expansion in (16, 64, 96))
    return Findings(
        name="tiny",
        version="1.0.0",
        created="2026-01-31T12:00:00Z",
        documents=5183,
        passages=6000,
        ndim=384,
        bytes=36_761_603,
        teacher=Teacher("someone/<model>", 25.0),
        timing=Timing(
            started="2026-01-31T12:00:00+00:00",
            machine="<b>a processor</b>, 2 cores",
            queries=20,
            searches=300,
            words=4.0,
            bm25=latency(0.2),
            warnings=("busy machine: load 9",),
        ),
        held_out=50,
        rungs=rungs,
        card=QualityCard(
            basis="labels",
            queries=3,
            rows=(
                Row("BM25", 0.6, 0.7, 0.9, 0.6, None, 5_209_616),
                teacher,
                *(row for each in rungs for row in (each.quality, each.hybrid_quality) if row),
            ),
            parity=(Parity("layers3", 50, 0.995, 0.99),),
            index_recall=0.9918,
        ),
        index=IndexRecall("float32", 50, points, RecallPoint(None, 0.995, 0.4), 96, "hnsw"),
        parts=(
            Part("layers3", 18_072_566, "layers3"),
            Part("documents", 9_875_836),
            Part("static", 9, "static"),
        ),
        gates=(
            Gate("recall@10 of the index", 0.99, 0.9918),
            Gate("size of the bundle", 3e7, 36e6, True, True),
        ),
        licences=(Licence("documents", "<u>CC0</u>"),),
        missing=("A <em>thing</em> is missing.",),
    )


@pytest.fixture(scope="session")
def written(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of their report."""
    return write(findings, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="session")
def hostile() -> str:
    """The text of a query that would do harm, were it not escaped."""
    return HOSTILE
