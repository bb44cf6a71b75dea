"""Devices that a fake ssh reaches, and versions of a small bundle to flash to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tools.flash import source, targets
from build_tools.flash.run import Conditions, Result, flash
from edge_runtime.bundle import Bundle
from tests import versions

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/golden/0.2.0"

Version = Callable[..., Path]
Told = list[tuple[str, str, int, int]]


@dataclass(frozen=True)
class Device:
    """A computer that the fake ssh knows by name."""

    name: str
    home: Path

    @property
    def url(self) -> str:
        """As a target."""
        return f"ssh://{self.name}"

    @property
    def incoming(self) -> list[str]:
        """What has arrived and is not installed."""
        return sorted(path.name for path in (self.home / "store/incoming").iterdir())

    def in_use(self) -> str | None:
        """The version that answers, every byte of it checked."""
        current = self.home / "store/bundles/golden/current"
        if not current.exists():
            return None
        bundle = Bundle.open(current, verify="full")
        bundle.close()
        return bundle.manifest.version

    def cut_after(self, count: int) -> None:
        """The next line breaks behind so many bytes."""
        (self.home / "cut").write_text(str(count))

    def calls(self) -> list[str]:
        """What ssh was called with, but for the command."""
        return (self.home / "arguments").read_text().splitlines()


Devices = Callable[[str], Device]


def bring(
    bundle: Path,
    *to: str,
    told: Told | None = None,
    self_test: bool = False,
    retries: int = 0,
    **conditions: object,
) -> Sequence[Result]:
    """Flashes without the self-test, which takes a second and has tests of its own."""

    def progress(label: str) -> Callable[[str, int, int], None]:
        def one(step: str, done: int, total: int) -> None:
            if told is not None:
                told.append((label, step, done, total))

        return one

    asked = Conditions(self_test=self_test, retries=retries, **conditions)  # type: ignore[arg-type]
    with source.opened(bundle) as opened:
        return flash(opened, [targets.parse(text) for text in to], asked, progress=progress, pause_seconds=0)


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A bundle of 200 KB under a version, with a quality card of its own and, asked for, a larger one."""
    made: dict[tuple[str, int], Path] = {}

    def bundle(number: str, *, extra: int = 0) -> Path:
        if (number, extra) not in made:
            folder = tmp_path_factory.mktemp("version") / "bundle"
            made[number, extra] = versions.another(GOLDEN, folder, number, name="golden", note="x" * extra)
        return made[number, extra]

    return bundle


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Device]:
    """Makes devices that are reached by name; each has edge-runtime on its PATH."""
    programs, hosts = tmp_path / "programs", tmp_path / "hosts"
    programs.mkdir()
    program(programs / "ssh", f'exec {sys.executable} {Path(__file__).parent / "fake_ssh.py"} "$@"')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SSH_HOSTS", str(hosts))
    monkeypatch.delenv("EDGE_RUNTIME_HOME", raising=False)

    def device(name: str) -> Device:
        (hosts / name / "bin").mkdir(parents=True)
        run = f'PYTHONPATH={ROOT} exec {sys.executable} -m edge_runtime.cli "$@"'
        program(hosts / name / "bin/edge-runtime", run)
        return Device(name, hosts / name)

    return device


def program(path: Path, line: str) -> None:
    """A shell script of a line or more."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
