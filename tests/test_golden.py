"""Bundles of earlier versions, kept as they were built: every later version opens them and finds the same.

`golden/VERSION` was built by that version from the corpus of `conftest.py`, and is never built again. A
version that changes what it writes adds a bundle of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import edge_runtime
from edge_runtime import manifest as manifests
from edge_runtime import self_test
from edge_runtime.store.install import install

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())

HITS = {
    "0.1.0": {
        "hybrid": ["bread-7", "bread-1", "bread-5"],
        "lexical": ["bread-3", "bread-7", "bicycle-3"],
    },
    "0.2.0": {
        "hybrid": ["bread-4", "bread-0", "bread-1"],
        "lexical": ["bread-3", "bread-7", "bicycle-3"],
    },
}
"""What the version that built it found: "yeast and dough" in hybrid mode, "Error E-102" by words."""


def test_each_version_is_here() -> None:
    """Those that were released, and the one that is being made, if it has a bundle yet."""
    assert list(HITS) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_it_opens_and_answers(version: str) -> None:
    """Every byte checked; the same documents in the same order."""
    with edge_runtime.open(GOLDEN / version) as retriever:
        hybrid = retriever.search("yeast and dough", k=3)
        lexical = retriever.search("Error E-102", k=3, mode="lexical")
    assert [hit.key for hit in hybrid] == HITS[version]["hybrid"]
    assert [hit.key for hit in lexical] == HITS[version]["lexical"]


@pytest.mark.parametrize("version", VERSIONS)
def test_its_golden_queries(version: str) -> None:
    """The tokens, vectors and passages of that day, from every encoder."""
    manifest = manifests.read(GOLDEN / version / manifests.FILENAME)
    outcome = self_test.replay(GOLDEN / version)
    assert [replay.encoder for replay in outcome.replays] == [spec.id for spec in manifest.encoders]
    assert not outcome.skipped


@pytest.mark.parametrize("version", VERSIONS)
def test_it_can_be_installed(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a device that knows newer ones only."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path))
    outcome = install(GOLDEN / version, self_test=self_test.replay)
    assert (outcome.name, outcome.version, outcome.done) == ("tiny", "1.0.0", "installed")
    with edge_runtime.open("tiny", verify="full") as retriever:
        assert retriever.info().version == "1.0.0"


def test_it_stays_small() -> None:
    """Everyone who clones the project carries it."""
    for version in VERSIONS:
        size = sum(path.stat().st_size for path in (GOLDEN / version).rglob("*") if path.is_file())
        assert size < 300_000
