"""Nothing that a device is told leaves it: no command of the runtime opens a network connection.

A whole life, from the install to the repair, is lived twice: watched by strace, and where there is no network
to reach. The import contract in pyproject.toml forbids the modules that could.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from build_tools.pack import pack

ROOT = Path(__file__).parents[1]

LIFE = """
import sys
from edge_runtime.cli import main

FILE = sys.argv[1]
QUERY = ("yeast and dough",)
for command in (
    ("install", FILE),
    ("doctor", "tiny"),
    ("info", "tiny"),
    ("verify", "tiny"),
    ("calibrate", "tiny", "-n", "5"),
    ("search", "tiny", *QUERY),
    ("search", "tiny", *QUERY, "--encoder", "layers2", "--mode", "dense"),
    ("search", "tiny", *QUERY, "--encoder", "layers2-tflite", "--mode", "dense"),
    ("search", "tiny", *QUERY, "--encoder", "static", "--deadline-ms", "1000"),
    ("search", "tiny", *QUERY, "--mode", "lexical", "--where", '{"section": "bread"}'),
    ("similar", "tiny", "bread-1"),
    ("duplicates", "tiny"),
    ("bench", "tiny", "-n", "5", "--warm-up", "1"),
    ("status",),
    ("mark-good", "tiny"),
    ("prove",),
    ("repair", FILE),
    ("prune",),
):
    status = main([*command, "--json"])
    assert status == 0, (command, status)
"""

INTERFACES = "import pathlib; print(pathlib.Path('/proc/net/dev').read_text().count(':'))"
NO_NETWORK = ("unshare", "--user", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def transport(two_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transport file of the tiny bundle with encoders for both engines."""
    return pack(two_engines, tmp_path_factory.mktemp("transport") / "tiny.edge")


def live(transport: Path, home: Path, *watcher: str) -> None:
    """The whole life, in a process that `watcher` starts, as on a device.

    No variable of this machine reaches it: ONNX Runtime reports nothing where it believes that it is tested.
    """
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    environment |= {"HOME": str(home / "user"), "EDGE_RUNTIME_HOME": str(home / "edge")}
    (home / "user").mkdir(parents=True)
    command = [*watcher, sys.executable, "-W", "error", "-c", LIFE, str(transport)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"query"')]
    assert [len(answer["hits"]) > 0 for answer in answers] == [True] * 5


def test_no_socket_is_opened(transport: Path, tmp_path: Path) -> None:
    """Among all system calls of all its processes, none makes a socket but such as stay on the machine."""
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed, or may not watch here")
    log = tmp_path / "calls"
    calls = "trace=socket,connect,sendto,sendmsg,sendmmsg,execve"
    live(transport, tmp_path / "home", strace, "-f", "-qq", "-o", str(log), "-e", calls)
    lines = log.read_text("utf-8", "replace").splitlines()
    assert sum("execve(" in line for line in lines) > 2  # the self-tests' processes were watched, too
    made = [line for line in lines if re.search(r"\b(socket|connect|send\w+)\(", line)]
    assert [line for line in made if "AF_UNIX" not in line] == []


def test_it_needs_no_network(transport: Path, tmp_path: Path) -> None:
    """The same where there is no interface but one that is down."""
    unshare = shutil.which(NO_NETWORK[0])
    if unshare is None or subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have a network namespace of their own")
    interfaces = [*NO_NETWORK, sys.executable, "-c", INTERFACES]
    assert subprocess.run(interfaces, capture_output=True, text=True, check=True).stdout == "1\n"
    live(transport, tmp_path / "home", *NO_NETWORK)


def test_nothing_is_kept_elsewhere(transport: Path, tmp_path: Path) -> None:
    """No identifier, cache or report in the user's home: what the runtime writes is in its own folder."""
    live(transport, tmp_path / "home")
    assert list((tmp_path / "home/user").iterdir()) == []
