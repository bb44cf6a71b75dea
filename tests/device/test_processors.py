"""The whole runtime on emulated boards: no illegal instruction, the desktop's vectors, the desktop's hits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator.machine import Hardware
from emulator.runtime import Runtime

import edge_runtime
from edge_runtime.self_test import COSINE

pytestmark = pytest.mark.device

HARDWARE = (
    Hardware("cortex-a72", cores=2),
    Hardware("cortex-a76"),
    Hardware("cortex-a53", memory_mb=256),
)

PROCESSORS = {
    "cortex-a72": "Cortex-A72, no int8 dot product",
    "cortex-a76": "Cortex-A76, with int8 dot product",
    "cortex-a53": "Cortex-A53, no int8 dot product",
}
"""Engines and usearch choose other kernels where it is."""

ENGINES = {"layers2": "onnxruntime", "layers2-tflite": "ai-edge-litert", "static": "numpy"}
QUESTIONS = ("yeast and dough", "E-103", "a knot in the rope", "which tyre for a ride")

# All encoders in one process: emulated, starting one takes longer than all the searches.
ASK = """
import json, sys
import edge_runtime
task = json.load(sys.stdin)
found = {}
for encoder in task["encoders"]:
    with edge_runtime.open(task["bundle"], encoder=encoder) as retriever:
        found[encoder] = [[hit.key for hit in retriever.search(each, k=3)] for each in task["questions"]]
print(json.dumps(found))
"""

# The best few by codes alone decide what is compared.
SEARCH_BY_CODES = """
import json, sys
from dataclasses import replace
import numpy as np
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
bundle = Bundle.open(sys.argv[1])
index = DenseIndex.open(bundle, replace(bundle.manifest.index, expansion=6))
found = [index.search(each, 3) for each in index.vectors(np.arange(bundle.manifest.index.count))]
print(json.dumps([[each.rows.tolist(), each.scores.round(4).tolist()] for each in found]))
"""


@pytest.fixture(scope="module", params=HARDWARE, ids=lambda hardware: f"{hardware.cpu}-{hardware.memory_mb}")
def hardware(request: pytest.FixtureRequest) -> Hardware:
    """What to boot."""
    chosen: Hardware = request.param
    return chosen


@pytest.fixture(scope="module")
def booted(runtime: Runtime, hardware: Hardware) -> Iterator[Runtime]:
    """The machine, on."""
    with runtime.machine.powered(hardware):
        yield runtime


def test_doctor_finds_no_problem(booted: Runtime, hardware: Hardware) -> None:
    """It is the board that was asked for, with an engine for each encoder, and memory enough."""
    findings = booted.report("doctor", booted.bundle)["findings"]
    assert [each for each in findings if each["level"] == "problem"] == []
    said = {each["about"]: each["text"] for each in findings}
    assert said["system"].startswith("aarch64")
    assert said["processor"].startswith(PROCESSORS[hardware.cpu])
    assert {name: said[f"encoder {name}"].split()[0] for name in ENGINES} == ENGINES


def test_golden_queries_are_as_built(booted: Runtime) -> None:
    """Every encoder on both engines: tokens, passages, and vectors near those of the build."""
    golden = booted.report("verify", booted.bundle)["golden"]
    assert golden["skipped"] == {}
    assert {each["encoder"]: each["engine"].split()[0] for each in golden["replays"]} == ENGINES
    assert all(each["cosine"] >= COSINE for each in golden["replays"])


def test_hits_are_those_of_the_desktop(booted: Runtime, two_engines: Path) -> None:
    """Every encoder finds the same documents in the same order."""
    task = {"bundle": booted.bundle, "encoders": list(ENGINES), "questions": QUESTIONS}
    found = json.loads(booted.python(ASK, stdin=json.dumps(task)).stdout)
    for encoder in ENGINES:
        with edge_runtime.open(two_engines, encoder=encoder) as retriever:
            expected = [[hit.key for hit in retriever.search(question, k=3)] for question in QUESTIONS]
        assert found[encoder] == expected, encoder


def test_product_codes(booted: Runtime, product_coded: Path) -> None:
    """faiss loads beside an engine, and finds what it finds on the desktop."""
    booted.machine.copy(product_coded, "/data/coded")
    assert booted.report("verify", "/data/coded")["golden"]["skipped"] == {}
    found = json.loads(booted.python(SEARCH_BY_CODES, "/data/coded").stdout)
    here = subprocess.run(
        [sys.executable, "-c", SEARCH_BY_CODES, product_coded], capture_output=True, text=True, check=True
    )
    assert found == json.loads(here.stdout)
    assert sum(rows[0] == row for row, (rows, _) in enumerate(found)) > len(found) / 2  # of so few parts


def test_a_search_from_the_command_line(booted: Runtime, two_engines: Path) -> None:
    """As a person on the board would ask."""
    (answer,) = booted.command(
        "search", booted.bundle, *QUESTIONS[0].split(), "-k", "1", "--json"
    ).stdout.splitlines()
    with edge_runtime.open(two_engines) as retriever:
        (expected,) = retriever.search(QUESTIONS[0], k=1)
    assert [hit["key"] for hit in json.loads(answer)["hits"]] == [expected.key]
