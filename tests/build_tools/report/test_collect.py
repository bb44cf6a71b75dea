"""What is measured of a real build: with its folder, without it, and with pieces gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from build_tools import quality
from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.report import collect as collecting
from build_tools.report.collect import collect, parts
from build_tools.report.data import Findings
from edge_runtime.bundle import read_manifest
from edge_runtime.errors import BundleError, IntegrityError


@pytest.fixture(scope="module")
def whole(built_home: Path) -> Findings:
    """Of the tiny bundle in its build folder."""
    return collect(built_home / "bundle", Progress(), searches=20)


@pytest.fixture(scope="module")
def alone(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Of a copy of the bundle in a folder of its own."""
    copy = shutil.copytree(bundle, tmp_path_factory.mktemp("alone") / "bundle")
    return collect(Path(copy), Progress(), searches=20)


def test_the_whole_build(whole: Findings, bundle: Path) -> None:
    """Nothing is missing, and what the build measured is what is shown."""
    assert whole.missing == ()
    assert whole.card == quality.read(bundle)
    assert (whole.name, whole.documents, whole.ndim) == ("tiny", 48, 32)
    assert whole.teacher
    assert whole.teacher.milliseconds
    assert whole.gates
    assert all(gate.passed for gate in whole.gates)
    assert [(rung.id, rung.what) for rung in whole.rungs] == [("layers2", "2 layers"), ("static", "static")]
    for rung in whole.rungs:
        assert rung.quality in whole.card.rows
        assert rung.hybrid_quality in whole.card.rows
        assert rung.dense.n == rung.hybrid.n == whole.timing.searches == 20
        assert 0 < rung.encode.p50 < rung.dense.p50


def test_the_learning_curve(whole: Findings, built_home: Path) -> None:
    """As the trainer left it."""
    lines = (built_home / "curves" / "layers2.jsonl").read_text("utf-8").splitlines()
    assert [point.step for point in whole.rungs[0].curve] == [json.loads(line)["step"] for line in lines]


def test_cosines(whole: Findings) -> None:
    """One a held-out text; the compiled encoder is as near to PyTorch as the card says."""
    for rung, parity in zip(whole.rungs, whole.card.parity, strict=True):
        assert parity.encoder == rung.id
        assert len(rung.to_teacher) == len(rung.to_pytorch) == whole.held_out >= 4
        assert all(-1.001 <= cosine <= 1.001 for cosine in rung.to_teacher)
        assert min(rung.to_pytorch) >= parity.cosine_min - 1e-4


def test_the_comparison(whole: Findings) -> None:
    """With the teacher as its own judge there is nothing to win."""
    for rung in whole.rungs:
        assert rung.comparison
        assert rung.comparison.better == 0
        assert rung.comparison.wins == ()
        assert {outcome.teacher for outcome in rung.comparison.losses} <= {1.0}


def test_the_bundle_alone(alone: Findings) -> None:
    """Times, sizes, its card, its index by itself; the rest is said to be missing."""
    for rung in alone.rungs:
        assert (rung.curve, rung.to_teacher, rung.to_pytorch, rung.comparison) == ((), (), (), None)
        assert rung.quality
    assert alone.missing == (
        collecting.NO_MODELS,
        collecting.NO_RECIPE,
        "There is no learning curve of layers2, static.",
    )
    assert (alone.teacher, alone.gates, alone.held_out) == (None, None, 0)
    assert alone.index.against == "int8"


def test_parts(bundle: Path) -> None:
    """Every byte once, the heaviest first."""
    manifest = read_manifest(bundle)
    found = parts(manifest)
    assert sum(part.bytes for part in found) == sum(entry.size for entry in manifest.files)
    sizes = [part.bytes for part in found]
    assert sizes == sorted(sizes, reverse=True)
    assert {part.name: part.rung for part in found} == {
        "layers2": "layers2",
        "static": "static",
        "tokenizer": None,
        "dense index": None,
        "word index": None,
        "documents": None,
        "golden queries, card": None,
    }
    for spec in manifest.encoders:
        [part] = [part for part in found if part.rung == spec.id]
        assert part.bytes == sum(manifest.entry(member).size for member in spec.members)


@pytest.mark.parametrize("content", ["", "{}\n", "[1]\n", "not json\n", "\x00", '{"step": 1, "loss": 2}\n'])
def test_a_curve_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    """Counts as none."""
    path = tmp_path / "layers3.jsonl"
    path.write_text(content, "utf-8")
    assert collecting._curve(path) == ()
    assert collecting._curve(tmp_path / "nowhere.jsonl") == ()


def test_a_card_of_another_version(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names the file and what to do."""
    path = bundle_copy / "quality.yaml"
    path.write_bytes(b"other: 1\n".ljust(path.stat().st_size))
    with pytest.raises(IntegrityError, match=r"quality\.yaml"):  # its bytes are checked before
        collect(bundle_copy, Progress())
    monkeypatch.setattr("build_tools.report.sources.keys_of", lambda _: ["bread-0"])
    with pytest.raises(BuildError, match=r"quality\.yaml: of another version .*build the bundle again"):
        collect(bundle_copy, Progress())


def test_no_bundle(tmp_path: Path) -> None:
    """One error of ours."""
    with pytest.raises(BundleError):
        collect(tmp_path / "nowhere", Progress())
