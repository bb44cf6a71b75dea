"""The wheel in an empty environment, as on a device: only the runtime's own dependencies, no build extra.

Marked ``install``: it fetches packages, so `make test` leaves it to `.ci/run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

ROOT = Path(__file__).parents[1]

ASK = """
import json, sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)
import edge_runtime
with edge_runtime.open(sys.argv[1]) as retriever:
    hits = retriever.search("yeast and dough", k=3)
import importlib.util as util
heavy = ("torch", "transformers", "sentence_transformers", "bm25s")
absent = [name for name in heavy if not util.find_spec(name)]
print(json.dumps({"keys": [hit.key for hit in hits], "sockets": sockets, "absent": absent}))
"""


@pytest.fixture(scope="module")
def device_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the built wheel and its onnx extra, and nothing else."""
    folder = tmp_path_factory.mktemp("device")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(pip, check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", f"{wheel}[onnx]"], check=True)
    return python


def test_answers_without_the_build_extra(device_python: Path, bundle: Path) -> None:
    """The minimal install opens a bundle and answers; no socket is made and no training library is there."""
    done = subprocess.run(
        [device_python, "-c", ASK, bundle], check=True, capture_output=True, text=True, cwd=bundle.parent
    )
    answer = json.loads(done.stdout)
    assert answer["keys"][0].startswith("bread")
    assert answer["sockets"] == []
    assert answer["absent"] == ["torch", "transformers", "sentence_transformers", "bm25s"]


def test_commands_are_installed(device_python: Path, bundle: Path) -> None:
    """edge-runtime works as a command; edge-build says what it lacks, in one line."""
    commands = device_python.parent
    found = subprocess.run(
        [commands / "edge-runtime", "search", bundle, "yeast and dough", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(found.stdout)["hits"][0]["key"].startswith("bread")
    refused = subprocess.run(
        [commands / "edge-build", "build", "recipe.yaml"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "pip install 'edge-runtime[build]'" in refused.stderr
    assert "Traceback" not in refused.stderr
