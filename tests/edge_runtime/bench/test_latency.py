"""Whole runs on the tiny bundle."""

from __future__ import annotations

import hashlib
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runtime.bench import latency
from edge_runtime.bench.report import Report, from_json, to_json
from edge_runtime.bench.table import table
from edge_runtime.errors import BundleError, IntegrityError, QueryError
from edge_runtime.question import Mode


@pytest.fixture(scope="module")
def hybrid(bundle: Path) -> Report:
    """A short run with everything in it."""
    return latency.run(bundle, n=20, warm_up=3, cold_starts=1)


def quick(bundle: Path, **changes: Any) -> Report:
    """A run of three searches in this process alone."""
    return latency.run(bundle, **({"n": 3, "warm_up": 0, "cold_starts": 0} | changes))


def test_stages_of_a_hybrid_search(hybrid: Report) -> None:
    """Each measured search passes each stage once, in this order."""
    names = [stage.name for stage in hybrid.stages]
    assert names == ["lexical", "tokenize", "encode", "dense", "fuse", "fetch"]
    assert {stage.n for stage in hybrid.stages} == {20}
    assert (hybrid.total.name, hybrid.total.n) == ("total", 20)


def test_reranking_is_two_more_stages(reranked_bundle: Path) -> None:
    """In the report's setting and head, too; as deep as the bundle says, or the caller."""
    report = quick(reranked_bundle, rerank=True, cold_starts=1)
    names = [stage.name for stage in report.stages]
    assert names == ["lexical", "tokenize", "encode", "dense", "fuse", "texts", "rerank", "fetch"]
    assert report.setting.rerank == 6
    assert "hybrid, top 6 reranked, k 10" in table(report)
    assert from_json(to_json(report)) == report
    assert quick(reranked_bundle, rerank=3).setting.rerank == 3
    assert quick(reranked_bundle).setting.rerank is None


def test_nothing_to_rerank_with(bundle: Path) -> None:
    """Refused before anything is measured."""
    with pytest.raises(QueryError, match=r"^rerank: bundle tiny has no reranker"):
        quick(bundle, rerank=True)


def test_the_whole_is_the_sum_of_its_stages(hybrid: Report) -> None:
    """And a little more; means add up, percentiles need not. Each is rounded to 0.0001 ms."""
    parts = sum(stage.mean for stage in hybrid.stages)
    assert hybrid.total.mean >= parts - 0.001
    for stage in (*hybrid.stages, hybrid.total):
        assert 0 < stage.p50 <= stage.p90 <= stage.p95 <= stage.p99 <= stage.max
        assert stage.max <= hybrid.total.max
    assert hybrid.curve[50] == hybrid.total.p50
    assert hybrid.queries_per_second == pytest.approx(1000 / hybrid.total.mean, rel=0.01)


def test_setting(hybrid: Report, bundle: Path) -> None:
    """What was run can be run again."""
    setting = hybrid.setting
    assert (setting.bundle, setting.version, setting.encoder) == ("tiny", "1.0.0", "layers2")
    assert setting.engine.startswith("onnxruntime ")
    assert (setting.documents, setting.passages, setting.search) == (48, 96, "exact")
    listed = yaml.safe_load((bundle / "manifest.yaml").read_text("utf-8"))["files"]
    assert setting.bytes == sum((bundle / entry["path"]).stat().st_size for entry in listed)
    assert (setting.mode, setting.k, setting.threads) == ("hybrid", 10, 1)
    assert (setting.queries, setting.n, setting.warm_up) == (4, 20, 3)
    assert datetime.fromisoformat(hybrid.started).utcoffset() == timedelta(0)
    assert hybrid.device.versions["edge-runtime"]
    assert "too small a sample: 20 searches" in " ".join(hybrid.warnings)


def test_starts(hybrid: Report) -> None:
    """Both ways to open, each in a process of its own, which answered every query."""
    assert [start.verify for start in hybrid.starts] == ["full", "size"]
    for start in hybrid.starts:
        assert (start.n, start.queries) == (1, 4)
        assert start.min == start.median == start.max > 0
        if sys.platform == "linux":
            assert start.memory.peak is not None
            assert start.memory.resident is not None


def test_a_real_report_survives_json(hybrid: Report) -> None:
    """Whatever this machine says of itself."""
    assert from_json(to_json(hybrid)) == hybrid


@pytest.mark.parametrize(
    ("mode", "stages"),
    [("dense", ["tokenize", "encode", "dense", "fetch"]), ("lexical", ["lexical", "fetch"])],
)
def test_stages_of_other_modes(bundle: Path, mode: Mode, stages: list[str]) -> None:
    """Only what such a search does; no process is started when none is asked for."""
    report = quick(bundle, mode=mode, k=2)
    assert [stage.name for stage in report.stages] == stages
    assert (report.setting.mode, report.setting.k) == (mode, 2)
    assert report.starts == ()


def test_queries_of_one_s_own(bundle: Path) -> None:
    """A repeated one is asked more often and counts once."""
    assert quick(bundle, queries=["yeast", "yeast", "tide"]).setting.queries == 2


def test_progress(bundle: Path) -> None:
    """Told in order, never more than there is to do."""
    told: list[tuple[str, int, int]] = []
    quick(bundle, n=40, warm_up=2, progress=lambda *step: told.append(step))
    assert list(dict.fromkeys(doing for doing, _, _ in told)) == ["warming up", "searching"]
    assert [done for doing, done, _ in told if doing == "searching"] == list(range(0, 40, 2))
    assert {total for doing, _, total in told if doing == "searching"} == {40}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n": 0}, "n: expected a whole number from 1; found 0"),
        ({"n": True}, "n: expected a whole number from 1; found true"),
        ({"n": 1.5}, "n: expected a whole number from 1; found 1.5"),
        ({"n": "9" * 99}, f"n: expected a whole number from 1; found '{'9' * 56}..."),
        ({"warm_up": -1}, "warm-up: expected a whole number from 0; found -1"),
        ({"cold_starts": -1}, "cold starts: expected a whole number from 0; found -1"),
        ({"queries": []}, "queries: expected a list of at least one; found a list of 0"),
        ({"queries": 3}, "queries: expected a list of at least one; found 3"),
        ({"queries": ["yeast", b"tide"]}, "query: expected text; found bytes"),
        ({"queries": "yeast"}, "queries: expected a list of at least one; found 'yeast'"),
        ({"queries": ["yeast", " "]}, "query: expected some text; found none"),
        ({"mode": "fuzzy"}, "mode: expected one of hybrid, dense, lexical; found 'fuzzy'"),
        ({"k": 0}, "k: expected a whole number from 1; found 0"),
        ({"threads": 0}, "threads: expected a whole number from 1 to 256; found 0"),
        ({"encoder": "none"}, "encoder: bundle tiny has layers2; found 'none'"),
    ],
)
def test_unusable_arguments(bundle: Path, changes: dict[str, Any], problem: str) -> None:
    """Named as the caller knows them."""
    with pytest.raises(QueryError) as caught:
        quick(bundle, **changes)
    assert str(caught.value) == problem


@pytest.mark.parametrize("cold_starts", [0, 1])
@pytest.mark.parametrize("queries", [None, ["yeast"]])
def test_missing_bundle(tmp_path: Path, queries: list[str] | None, cold_starts: int) -> None:
    """The same error whoever opens it first: this process, or another."""
    with pytest.raises(BundleError, match="gone: no such bundle directory"):
        quick(tmp_path / "gone", queries=queries, cold_starts=cold_starts)


def test_damaged_bundle(bundle_copy: Path) -> None:
    """Found in the child when that is the first to open the bundle."""
    with (bundle_copy / "tokenizer.json").open("r+b") as file:
        file.write(b"#")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        quick(bundle_copy, queries=["yeast"], cold_starts=1)


def test_a_bundle_without_golden_queries(bundle_copy: Path) -> None:
    """A whole bundle, but with nothing to ask it: the way out is in the error."""
    (bundle_copy / "golden.jsonl").write_bytes(b"")
    manifest = yaml.safe_load((bundle_copy / "manifest.yaml").read_text("utf-8"))
    entry = next(entry for entry in manifest["files"] if entry["path"] == "golden.jsonl")
    entry |= {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    (bundle_copy / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), "utf-8")
    problem = r"golden\.jsonl: no query in it; .*; give queries of your own with --queries FILE$"
    with pytest.raises(BundleError, match=problem):
        quick(bundle_copy)
    assert quick(bundle_copy, queries=["yeast"]).total.n == 3


def fake_vcgencmd(folder: Path, script: str) -> None:
    """The Raspberry Pi's tool, as a shell script."""
    tool = folder / "vcgencmd"
    tool.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("before", "after", "valid"),
    [
        ("0x0", "0x0", True),
        ("0x50000", "0x50000", True),
        ("0x0", "0x40000", False),
        ("0x50005", "0x0", False),
    ],
)
def test_a_throttled_run_is_invalid(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, valid: bool
) -> None:
    """Held back at the start, or a bit that is new at the end; an old one proves nothing."""
    seen = tmp_path / "seen"
    script = (
        f'if [ -e "{seen}" ]; then echo throttled={after}; else : > "{seen}"; echo throttled={before}; fi'
    )
    fake_vcgencmd(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    report = quick(bundle)
    assert report.valid is valid
    assert report.warnings[0].startswith("invalid: throttled (") is not valid
