"""Readers open a bundle by name while it is replaced, rolled back and pruned under them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.store import switch
from edge_runtime.store.install import install
from edge_runtime.store.prune import prune

ROOT = Path(__file__).parents[2]

READER = """
import select, sys
from edge_runtime.store.opening import open_bundle
versions = set()
while not select.select([sys.stdin], [], [], 0)[0]:
    bundle = open_bundle("tiny", verify="full")
    versions.add(bundle.manifest.version)
    bundle.close()
print(*sorted(versions))
"""


def test_readers_see_the_old_or_the_new_one(
    releases: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every opening succeeds, every byte is right, whatever happens meanwhile."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path))
    install(releases[0], self_test=None)
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "error", "-c", READER]
    readers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(3)]
    for _ in range(4):
        install(releases[1], self_test=None)
        prune(keep=1)
        install(releases[0], self_test=None, allow_downgrade=True)
        install(releases[1], self_test=None)
        switch.rollback("tiny")
        prune(keep=1)
    answers = [reader.communicate("stop", timeout=60)[0].strip() for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert set(answers) <= {"1.0.0", "2.0.0", "1.0.0 2.0.0"}
