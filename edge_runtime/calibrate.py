"""Finds the best encoder of a bundle for this very device, by measuring all of them, and remembers it.

A bundle carries a ladder of encoders over one index. Which rung a device can afford depends on its processor,
its engine and the size of the index, so whole searches are timed here and nothing is estimated. The result
goes to the device's state (see `state`), where `edge_runtime.open` finds it; the bundle stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from edge_runtime import cpu, device, device_config, encoders, ladder, state
from edge_runtime.bench import queries as query_file
from edge_runtime.bench import report, rung
from edge_runtime.bench.options import BUDGET_MS, CALIBRATION_SEARCHES
from edge_runtime.bench.report import Latency
from edge_runtime.bench.rung import Task
from edge_runtime.bench.stopwatch import Progress, no_progress
from edge_runtime.bench.table import columns
from edge_runtime.bundle import Bundle
from edge_runtime.errors import EngineError, Error, QueryError
from edge_runtime.manifest import EncoderSpec, Manifest
from edge_runtime.process import NoAnswerError
from edge_runtime.schema import shown
from edge_runtime.state import Calibration, Rung
from edge_runtime.version import __version__

MAX_BUDGET_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """An encoder that cannot run on this device, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `calibrate` found.

    Attributes:
        name: the bundle's name; `version` its version.
        calibration: what was measured and chosen, as it was recorded.
        within_budget: False when no encoder was, so that the fastest was chosen.
        skipped: encoders that could not be measured.
        warnings: what makes the figures weaker than they look.
        recorded: the state file.
    """

    name: str
    version: str
    calibration: Calibration
    within_budget: bool
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    recorded: str


def calibrate(
    bundle: str | os.PathLike[str],
    *,
    budget_ms: float = BUDGET_MS,
    queries: Sequence[str] | None = None,
    n: int = CALIBRATION_SEARCHES,
    warm_up: int = 20,
    progress: Progress = no_progress,
) -> Outcome:
    """Measures every encoder of a bundle on this device and records the best within the budget.

    Each is timed in a process of its own: whole hybrid searches on one thread.

    Args:
        bundle: the directory.
        budget_ms: for the median search, in milliseconds.
        queries: asked again and again; the bundle's golden queries when None.
        n: searches that are measured, an encoder; `warm_up` searches before those.
        progress: told which encoder is next.

    Raises:
        BundleError: the bundle cannot be used.
        EngineError: none of its encoders can run here.
        Error: one gave no answer in time: it can run, so no lesser one is recorded in its place.
        StateError: the result cannot be recorded.
        QueryError: an argument cannot be used.
    """
    _check(budget_ms, n, warm_up)
    device_config.read()  # a broken one is no encoder's fault
    own = query_file.checked(queries) if queries is not None else None
    opened = Bundle.open(bundle, verify="full")
    opened.close()  # nothing is mapped yet; its bytes are proved, so the processes below compare sizes only
    asked = own or query_file.golden(opened)
    state.check_writable(opened.manifest.name)
    task = Task(os.fsdecode(bundle), "", asked, n=n, warm_up=warm_up)
    machine, before = device.describe(), device.condition()
    rungs, skipped = _measure(opened.manifest, task, progress)
    warnings = report.machine_warnings(machine, before, device.condition())
    calibration = _calibration(opened, rungs, budget_ms=float(budget_ms), cpu=machine.cpu)
    return Outcome(
        name=opened.manifest.name,
        version=opened.manifest.version,
        calibration=calibration,
        within_budget=calibration.chosen.p50_ms <= budget_ms,
        skipped=skipped,
        warnings=warnings,
        recorded=str(state.record(opened.manifest.name, calibration)),
    )


def choose(rungs: Sequence[Rung], manifest: Manifest, *, budget_ms: float) -> Rung:
    """The best of at least one rung whose median is within the budget; the fastest when none is.

    The best has the highest nDCG@10 in the manifest, and of equals the lower median. Where one has no figure,
    or figures stand on different bases, the one that computes most passes for the best; where the manifest
    does not tell that either, the first.
    """
    affordable = [rung for rung in rungs if rung.p50_ms <= budget_ms]
    if not affordable:
        return min(rungs, key=lambda rung: rung.p50_ms)
    merits = _merits([manifest.encoder(rung.id) for rung in affordable])
    ranked = zip(merits, affordable, strict=True)
    return max(ranked, key=lambda pair: (pair[0], -pair[1].p50_ms))[1]


def table(outcome: Outcome) -> str:
    """The outcome for a plain terminal: a line a rung, then what was chosen and why."""
    calibration = outcome.calibration
    heads = ["encoder", "p50 ms", "p99 ms", "nDCG@10", "engine"]
    lines = columns([heads, *(_row(rung) for rung in calibration.rungs)], align="<>>><")
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines += [f"{skipped.id}: skipped: {skipped.reason}" for skipped in outcome.skipped]
    lines += [f"warning: {warning}" for warning in outcome.warnings]
    why = f"within {calibration.budget_ms:g} ms" if outcome.within_budget else "the fastest"
    lines += ["", f"{outcome.name} {outcome.version} opens with {calibration.encoder} here: {why}"]
    if not outcome.within_budget:
        lines.append(f"no encoder is within the budget of {calibration.budget_ms:g} ms")
    return "\n".join([*lines, f"recorded in {outcome.recorded}"])


def _row(measured: Rung) -> list[str]:
    quality = "-" if measured.quality is None else f"{measured.quality:.4f}"
    return [measured.id, f"{measured.p50_ms:.3f}", f"{measured.p99_ms:.3f}", quality, measured.engine]


def _measure(
    manifest: Manifest, task: Task, progress: Progress
) -> tuple[tuple[Rung, ...], tuple[Skipped, ...]]:
    rungs, skipped = [], []
    for done, spec in enumerate(manifest.encoders):
        progress(f"measuring {spec.id}", done, len(manifest.encoders))
        if unmet := cpu.unmet(spec.requires):
            skipped.append(Skipped(spec.id, unmet))
            continue
        try:
            rungs.append(_rung(spec, rung.measure(replace(task, encoder=spec.id))))
        except QueryError:  # the caller's queries are at fault, whatever the encoder
            raise
        except NoAnswerError as error:  # slow is not the same as unable
            raise Error(f"{error}; nothing was recorded: measure fewer searches (-n)") from None
        except Error as error:
            skipped.append(Skipped(spec.id, str(error)))
    if not rungs:
        reasons = "\n".join(f"  {rung.id}: {rung.reason}" for rung in skipped)
        raise EngineError(f"no encoder of {manifest.name} can run on this device:\n{reasons}")
    return tuple(rungs), tuple(skipped)


def _calibration(
    bundle: Bundle, rungs: tuple[Rung, ...], *, budget_ms: float, cpu: str | None
) -> Calibration:
    return Calibration(
        bundle=ladder.digest(bundle.manifest),
        encoder=choose(rungs, bundle.manifest, budget_ms=budget_ms).id,
        budget_ms=budget_ms,
        rungs=rungs,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cpu=cpu,
        runtime=__version__,
        passages=bundle.manifest.index.count,
    )


def _rung(spec: EncoderSpec, measured: Latency) -> Rung:
    quality = spec.quality.ndcg_10 if spec.quality else None
    engine = encoders.engine(spec, config=device_config.read()) or "unknown"
    return Rung(spec.id, engine, p50_ms=measured.p50, p99_ms=measured.p99, quality=quality)


def _merits(specs: Sequence[EncoderSpec]) -> Sequence[float]:
    qualities = [spec.quality for spec in specs if spec.quality]
    if len(qualities) == len(specs) and len({quality.basis for quality in qualities}) == 1:
        return [quality.ndcg_10 for quality in qualities]
    costs = [spec.cost for spec in specs if spec.cost]
    if len(costs) == len(specs):
        return [cost.macs for cost in costs]
    return [-place for place in range(len(specs))]


def _check(budget_ms: float, n: int, warm_up: int) -> None:
    number = isinstance(budget_ms, (int, float)) and not isinstance(budget_ms, bool)
    if not (number and 0 < budget_ms <= MAX_BUDGET_MS):
        expected = f"expected milliseconds above 0, at most {MAX_BUDGET_MS:,.0f}"
        raise QueryError(f"budget: {expected}; found {shown(budget_ms)}")
    query_file.check_count("n", n, least=1)
    query_file.check_count("warm-up", warm_up, least=0)
