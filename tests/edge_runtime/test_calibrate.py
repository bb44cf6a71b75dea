"""Measuring a ladder of encoders: real runs on the tiny bundle, and choices among figures made by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime import cpu, encoders, schema, state
from edge_runtime import manifest as manifests
from edge_runtime.bench import rung as bench_rung
from edge_runtime.bundle import sha256
from edge_runtime.calibrate import Outcome, Skipped, calibrate, choose, table
from edge_runtime.errors import BundleError, EngineError, Error, IntegrityError, QueryError, StateError
from edge_runtime.ladder import digest as digest_of
from edge_runtime.manifest import EncoderCost, EncoderQuality, EncoderSpec, Manifest
from edge_runtime.state import Calibration, Rung, State

AddStatic = Callable[..., EncoderSpec]

ROOT = Path(__file__).parents[2]
QUALITY = EncoderQuality(0.6, 0.97, "labels")
LAVISH = 60_000.0  # a budget that any machine keeps to, however busy


def quick(bundle: Path, **changes: Any) -> Outcome:
    """Three searches an encoder."""
    return calibrate(bundle, **({"n": 3, "warm_up": 1, "budget_ms": LAVISH} | changes))


def test_measures_every_rung_and_remembers_the_best(ladder: Path, home: Path) -> None:
    """From now on `open` takes it; the bundle is what it was."""
    before = {path: sha256(path) for path in ladder.rglob("*") if path.is_file()}
    outcome = quick(ladder)
    found = outcome.calibration
    assert [rung.id for rung in found.rungs] == ["layers2", "static"]
    assert all(0 < rung.p50_ms <= rung.p99_ms for rung in found.rungs)
    assert found.encoder == "layers2"  # no quality is told, so the first is taken for the best
    manifest = manifests.read(ladder / manifests.FILENAME)
    assert (found.bundle, found.passages) == (digest_of(manifest), manifest.index.count)
    assert (found.budget_ms, found.cpu) == (LAVISH, cpu.describe().name)
    assert datetime.fromisoformat(found.when).utcoffset() == timedelta(0)
    assert (outcome.name, outcome.version) == ("tiny", "1.0.0")
    assert (outcome.within_budget, outcome.skipped) == (True, ())
    assert outcome.recorded == str(home / "bundles/tiny/state.yaml")
    assert state.read("tiny").calibrations == (found,)
    assert {path: sha256(path) for path in ladder.rglob("*") if path.is_file()} == before


def test_the_engines_are_those_that_open_will_compare(ladder: Path, home: Path) -> None:
    """Name and version, found without loading them, equal to what they say of themselves."""
    for rung in quick(ladder).calibration.rungs:
        with edge_runtime.open(ladder, encoder=rung.id) as retriever:
            assert retriever.info().engine == rung.engine


def test_quality_comes_from_the_manifest(bundle_copy: Path, add_static: AddStatic, home: Path) -> None:
    """The better one is chosen although it stands second."""
    spec = add_static(bundle_copy, quality=QUALITY)
    manifest = manifests.read(bundle_copy / manifests.FILENAME)
    worse = replace(manifest.encoders[0], quality=replace(QUALITY, ndcg_10=0.5))
    path = bundle_copy / manifests.FILENAME
    path.write_bytes(manifests.dump(replace(manifest, encoders=(worse, spec))))
    found = quick(bundle_copy).calibration
    assert [rung.quality for rung in found.rungs] == [0.5, 0.6]
    assert found.encoder == "static"
    with edge_runtime.open(bundle_copy) as retriever:
        assert retriever.info().encoder == "static"


def test_no_rung_is_fast_enough(static_bundle: Path, home: Path) -> None:
    """The fastest then, and the outcome says so."""
    outcome = quick(static_bundle, budget_ms=1e-6)
    rungs = outcome.calibration.rungs
    assert outcome.calibration.encoder == min(rungs, key=lambda rung: rung.p50_ms).id
    assert not outcome.within_budget
    text = table(outcome)
    assert f"opens with {outcome.calibration.encoder} here: the fastest\n" in text
    assert "no encoder is within the budget of 1e-06 ms\n" in text


def test_again_with_another_budget(ladder: Path, home: Path) -> None:
    """The newest calibration is the one that counts."""
    quick(ladder)
    second = quick(ladder, budget_ms=LAVISH / 2, queries=["yeast"]).calibration
    assert state.read("tiny").calibrations == (second,)


def test_progress(ladder: Path, home: Path) -> None:
    """Each encoder is announced."""
    told: list[tuple[str, int, int]] = []
    quick(ladder, progress=lambda *step: told.append(step))
    assert told == [("measuring layers2", 0, 2), ("measuring static", 1, 2)]


def test_a_rung_that_requires_another_processor_is_skipped(
    demanding: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason."""
    monkeypatch.setattr(cpu, "describe", lambda root=None: cpu.Cpu("Cortex-A72", ("asimd",), 4))
    outcome = quick(demanding)
    assert [rung.id for rung in outcome.calibration.rungs] == ["static"]
    assert [skipped.id for skipped in outcome.skipped] == ["layers2"]
    assert outcome.skipped[0].reason.endswith("and this system has asimd")


def fake_engine(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """An onnxruntime that new processes find before the real one."""
    (folder / "fake/onnxruntime").mkdir(parents=True)
    (folder / "fake/onnxruntime/__init__.py").write_text(code, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "raise ImportError('libstdc++ is too old')",
            r"encoder layers2 needs ONNX Runtime \(libstdc\+\+ is too old\); "
            r"install it: pip install 'edge-runtime\[onnx\]'",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "encoder layers2: a new process was killed by SIGILL",
        ),
    ],
    ids=["missing", "crashes"],
)
def test_a_rung_whose_engine_cannot_run_is_skipped(
    ladder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    """With the reason; an engine built for newer processors kills its own process only."""
    fake_engine(tmp_path, monkeypatch, code)
    outcome = quick(ladder)
    assert outcome.calibration.encoder == "static"
    assert [rung.id for rung in outcome.calibration.rungs] == ["static"]
    assert [skipped.id for skipped in outcome.skipped] == ["layers2"]
    assert re.fullmatch(reason, outcome.skipped[0].reason)
    assert f"layers2: skipped: {outcome.skipped[0].reason}" in table(outcome).splitlines()


def test_a_rung_that_is_slow_is_not_skipped(
    ladder: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lesser one is recorded in its place; how long is waited depends on the number of searches."""
    fake_engine(tmp_path, monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(bench_rung, "START_SECONDS", 0.2)
    monkeypatch.setattr(bench_rung, "SEARCH_SECONDS", 0.2)
    expected = "encoder layers2: no answer from a new process in 1 s; nothing was recorded: measure fewer"
    with pytest.raises(Error, match=f"^{expected}"):
        quick(ladder)
    assert state.read("tiny") == State()


def test_no_engine_at_all(bundle: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded, and each encoder's reason is told."""
    fake_engine(tmp_path, monkeypatch, "raise ImportError('none here')")
    problem = r"^no encoder of tiny can run on this device:\n  layers2: encoder layers2 needs ONNX Runtime"
    with pytest.raises(EngineError, match=problem):
        quick(bundle)
    assert state.read("tiny") == State()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"budget_ms": 0}, "budget: expected milliseconds above 0, at most 3,600,000; found 0"),
        ({"budget_ms": -1.5}, "budget: expected milliseconds above 0, at most 3,600,000; found -1.5"),
        ({"budget_ms": float("nan")}, "budget: expected milliseconds above 0, at most 3,600,000; found nan"),
        ({"budget_ms": float("inf")}, "budget: expected milliseconds above 0, at most 3,600,000; found inf"),
        ({"budget_ms": 10**400}, "budget: expected .* found a number beyond 64 bits"),
        ({"budget_ms": "10"}, "budget: expected milliseconds above 0, at most 3,600,000; found '10'"),
        ({"budget_ms": True}, "budget: expected milliseconds above 0, at most 3,600,000; found true"),
        ({"n": 0}, "n: expected a whole number from 1; found 0"),
        ({"warm_up": -1}, "warm-up: expected a whole number from 0; found -1"),
        ({"queries": []}, "queries: expected a list of at least one; found a list of 0"),
        ({"queries": "yeast"}, "queries: expected a list of at least one; found 'yeast'"),
        ({"queries": [3]}, "query: expected text; found int"),
        ({"queries": ["yeast", " "]}, "query: expected some text; found none"),
    ],
)
def test_unusable_arguments(ladder: Path, home: Path, changes: dict[str, Any], problem: str) -> None:
    """The caller's mistake is not taken for an encoder's, and nothing is recorded."""
    with pytest.raises(QueryError, match=f"^{problem}$"):
        quick(ladder, **changes)
    assert state.read("tiny") == State()


def test_unusable_bundles(tmp_path: Path, bundle_copy: Path, home: Path) -> None:
    """Every byte is checked before anything is measured."""
    with pytest.raises(BundleError, match="gone: no such bundle directory"):
        quick(tmp_path / "gone")
    (bundle_copy / "tokenizer.json").write_bytes(b"#" * (bundle_copy / "tokenizer.json").stat().st_size)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json: sha256"):
        quick(bundle_copy, queries=["yeast"])
    assert not home.exists()


def test_a_state_that_cannot_be_written(
    static_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error, before anything is measured; the search itself works on such a device."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "file"))
    measured: list[str] = []
    with pytest.raises(StateError, match="cannot be written"):
        quick(static_bundle, progress=lambda what, done, total: measured.append(what))
    assert measured == []
    edge_runtime.open(static_bundle).close()


def test_two_calibrations_at_once(bundle: Path, add_static: AddStatic, tmp_path: Path, home: Path) -> None:
    """Two versions of one bundle, each measured by a process of its own: both are remembered."""
    command = [sys.executable, "-W", "error", "-m", "edge_runtime.cli", "calibrate", "-n", "3", "--json"]
    running = []
    for number in range(2):
        copy = Path(shutil.copytree(bundle, tmp_path / str(number)))
        add_static(copy, first=True, prompt=f"version {number}: ")
        running.append(subprocess.Popen([*command, str(copy)], cwd=ROOT, stdout=subprocess.PIPE))
    outcomes = [
        schema.decode(Outcome, json.loads(process.communicate(timeout=120)[0])) for process in running
    ]
    assert {outcome.calibration for outcome in outcomes} == set(state.read("tiny").calibrations)
    assert len({outcome.calibration.bundle for outcome in outcomes}) == 2


def spec(name: str, **changes: Any) -> EncoderSpec:
    """An encoder of that name, with whatever the manifest tells of it."""
    made = EncoderSpec(name, "onnx", f"{name}.onnx", "t.json", 32, 64, "", 2, {})
    return replace(made, **changes)


def cost(macs: int) -> EncoderCost:
    return EncoderCost(bytes=1, macs=macs)


def judged(ndcg_10: float, basis: Any = "labels") -> EncoderQuality:
    return EncoderQuality(ndcg_10, None, basis)


@pytest.mark.parametrize(
    ("specs", "times", "expected"),
    [
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.6))], [1, 9], "b"),
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.6))], [1, 10], "b"),
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.6))], [1, 11], "a"),
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.5))], [9, 8], "b"),
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.5))], [8, 8], "a"),
        ([spec("a"), spec("b")], [9, 1], "a"),
        ([spec("a"), spec("b")], [11, 9], "b"),
        ([spec("a", cost=cost(10)), spec("b", cost=cost(20))], [1, 2], "b"),
        ([spec("a", cost=cost(10)), spec("b")], [2, 1], "a"),
        # A figure that the other lacks, or of another kind, compares nothing.
        ([spec("a", cost=cost(10), quality=judged(0.9)), spec("b", cost=cost(20))], [1, 2], "b"),
        ([spec("a", quality=judged(0.5)), spec("b", quality=judged(0.9, "teacher"))], [2, 1], "a"),
        # None within ten milliseconds.
        ([spec("a", quality=judged(0.9)), spec("b", quality=judged(0.1))], [12, 11], "b"),
    ],
)
def test_the_choice(ladder: Path, specs: list[EncoderSpec], times: list[float], expected: str) -> None:
    """The best within ten milliseconds by what the manifest tells, and else the fastest."""
    manifest: Manifest = manifests.read(ladder / manifests.FILENAME)
    entries = tuple(replace(manifest.files[0], path=f"{one.id}.onnx") for one in specs)
    tokenizer = replace(manifest.files[0], path="t.json")
    made = replace(manifest, encoders=tuple(specs), files=(*manifest.files, *entries, tokenizer))
    rungs = [Rung(s.id, "e", p50_ms=t, p99_ms=2 * t) for s, t in zip(specs, times, strict=True)]
    assert choose(rungs, made, budget_ms=10).id == expected


def test_the_table() -> None:
    """A line a rung, what could not run, and the choice at the end."""
    rungs = (
        Rung("static", "numpy 2.2.0", p50_ms=0.31, p99_ms=0.62),
        Rung("layers3", "onnxruntime 1.23.2", p50_ms=7.5, p99_ms=11.0625, quality=0.6412),
    )
    calibration = Calibration("0" * 64, "layers3", 10.0, rungs, "2026-01-31T12:00:00+00:00", None, "0.2.0")
    outcome = Outcome(
        name="tiny",
        version="1.0.0",
        calibration=calibration,
        within_budget=True,
        skipped=(Skipped("layers6", "needs more"),),
        warnings=("busy machine",),
        recorded="/state.yaml",
    )
    assert table(outcome) == (
        "encoder  p50 ms  p99 ms  nDCG@10  engine\n"
        "----------------------------------------------------\n"
        "static    0.310   0.620        -  numpy 2.2.0\n"
        "layers3   7.500  11.062   0.6412  onnxruntime 1.23.2\n"
        "layers6: skipped: needs more\n"
        "warning: busy machine\n"
        "\n"
        "tiny 1.0.0 opens with layers3 here: within 10 ms\n"
        "recorded in /state.yaml"
    )


def test_an_outcome_survives_json(static_bundle: Path, home: Path) -> None:
    """What the command prints can be read back."""
    outcome = quick(static_bundle)
    assert schema.decode(Outcome, json.loads(json.dumps(schema.encode(outcome)))) == outcome


def test_the_rungs_are_those_of_encoders_engine(ladder: Path) -> None:
    """For both kinds there is one name and version."""
    found = [encoders.engine(one) for one in manifests.read(ladder / manifests.FILENAME).encoders]
    assert [str(name).split()[0] for name in found] == ["onnxruntime", "numpy"]
