"""The wheel in empty environments, as on a device: the runtime's own dependencies and one engine.

Marked ``install``: it fetches packages, so `make test` leaves it to `.ci/run`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import FileEntry

pytestmark = pytest.mark.install

ROOT = Path(__file__).parents[1]

ASK = """
import json, sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)
import edge_runtime
with edge_runtime.open(sys.argv[1]) as retriever:
    hits = retriever.search("yeast and dough", k=3)
    info = retriever.info()
    vectors = retriever.encode(["bread", "clean the wound and let it rest until the fever is gone"])
import importlib.util as util
heavy = ("torch", "transformers", "sentence_transformers", "bm25s", "jax")
absent = [name for name in heavy if not util.find_spec(name)]
answer = {"keys": [hit.key for hit in hits], "sockets": sockets, "absent": absent}
print(json.dumps(answer | {"encoder": info.encoder, "engine": info.engine, "vectors": vectors.tolist()}))
"""


@dataclass(frozen=True)
class Device:
    """What a device has installed beside the wheel, and which encoder it then opens.

    Attributes:
        python: its interpreter, by name; that of the tests when empty.
    """

    packages: Sequence[str]
    encoder: str
    engine: str
    python: str = ""

    def __str__(self) -> str:
        return f"{self.python} {self.engine}".strip()

    def interpreter(self) -> str:
        """The program that makes its environment; the test is skipped where this machine has none."""
        if not self.python:
            return sys.executable
        found = shutil.which(self.python)
        works = found and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode
        if not found or not works:
            pytest.skip(f"no {self.python} on this machine")
        return found


DEVICES = (
    Device(["onnxruntime", "numpy>=2"], "layers2", "onnxruntime"),
    Device(["ai-edge-litert", "numpy>=2"], "layers2-tflite", "ai-edge-litert"),
    pytest.param(
        Device(["tflite-runtime==2.14.0", "numpy<2"], "layers2-tflite", "tflite-runtime 2.14.0"),
        marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ended with Python 3.11"),
    ),
    Device(["onnxruntime"], "layers2", "onnxruntime", "python3.10"),
    Device(["ai-edge-litert"], "layers2-tflite", "ai-edge-litert", "python3.13"),
)


@dataclass(frozen=True)
class Installed:
    """An environment with the built wheel and the device's packages, and nothing else."""

    device: Device
    commands: Path

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs one of its commands."""
        program, *rest = arguments
        return subprocess.run([self.commands / program, *rest], check=check, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project's, built anew."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(pip, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module", params=DEVICES, ids=str)
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """One of the devices."""
    folder = tmp_path_factory.mktemp("device")
    subprocess.run([request.param.interpreter(), "-m", "venv", folder], check=True)
    made = Installed(request.param, folder / "bin")
    made.run("python", "-m", "pip", "install", "-q", wheel, *made.device.packages)
    return made


def test_answers_without_the_build_extra(installed: Installed, two_engines: Path) -> None:
    """It opens the encoder that it has an engine for; no socket is made, and no training library is there."""
    answer = json.loads(installed.run("python", "-c", ASK, two_engines).stdout)
    assert answer["encoder"] == installed.device.encoder
    assert answer["engine"].startswith(installed.device.engine)
    assert answer["keys"][0].startswith("bread")
    assert answer["sockets"] == []
    assert answer["absent"] == ["torch", "transformers", "sentence_transformers", "bm25s", "jax"]


def test_golden_queries_are_as_built(installed: Installed, two_engines: Path) -> None:
    """Its engine and NumPy give the tokens, vectors and passages of the machine that built the bundle."""
    found = json.loads(installed.run("edge-runtime", "verify", "--json", two_engines).stdout)["golden"]
    replays = {each["encoder"]: each for each in found["replays"]}
    assert set(replays) == {installed.device.encoder, "static"}
    assert replays[installed.device.encoder]["engine"].startswith(installed.device.engine)
    assert all(each["cosine"] > 0.999 for each in replays.values())


def test_a_file_that_was_not_rewritten(
    installed: Installed, two_engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the quantizer leaves it, old runtimes read it without a word and answer nonsense: verify refuses."""
    if installed.device.encoder != "layers2-tflite" or installed.device.python:
        pytest.skip("one device with each TFLite engine is enough")
    bundle = Path(shutil.copytree(two_engines, tmp_path / "bundle"))
    _compile_without_rewriting(two_engines, bundle / "encoders/layers2-tflite.tflite", monkeypatch)
    _list_anew(bundle)
    done = installed.run("edge-runtime", "verify", bundle, check=False)
    if installed.device.engine == "ai-edge-litert":
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert "encoder layers2-tflite on tflite-runtime 2.14.0, golden query 1: cosine " in done.stderr
    assert "this engine computes it wrongly here" in done.stderr
    assert "Traceback" not in done.stderr


def _compile_without_rewriting(bundle: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle's student once more: every layer stays as the quantizer made it."""
    from build_tools.compile import tflite_rewrite
    from build_tools.compile.tflite import compile_tflite
    from build_tools.distill import distil
    from build_tools.distill.student import Student
    from build_tools.workspace import Stage

    monkeypatch.setattr(tflite_rewrite, "_quantized_weights", lambda *_: None)
    for folder in (bundle.parent / "stages").glob("student-*"):
        student = distil.load(Stage(folder, "")).student
        if isinstance(student, Student):
            compile_tflite(student, path, (8, 24))


def _list_anew(bundle: Path) -> None:
    """The manifest vouches for the files as they are now."""
    manifest = manifests.read(bundle / manifests.FILENAME)
    paths = [(entry.path, bundle / entry.path) for entry in manifest.files]
    files = tuple(FileEntry(name, path.stat().st_size, sha256(path)) for name, path in paths)
    (bundle / manifests.FILENAME).write_bytes(manifests.dump(replace(manifest, files=files)))


def test_commands_are_installed(installed: Installed, two_engines: Path) -> None:
    """edge-runtime works as a command; edge-build says what it lacks, in one line."""
    found = installed.run("edge-runtime", "search", two_engines, "yeast and dough", "--json")
    assert json.loads(found.stdout)["hits"][0]["key"].startswith("bread")
    refused = installed.run("edge-build", "build", "recipe.yaml", check=False)
    assert refused.returncode == 1
    assert "pip install 'edge-runtime[build]'" in refused.stderr
    assert "Traceback" not in refused.stderr
