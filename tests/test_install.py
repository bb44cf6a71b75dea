"""The wheel in empty environments, as on a device: the runtime's own dependencies and one engine.

Marked ``install``: it fetches packages, so `make test` leaves it to `.ci/run`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime import manifest as manifests
from tests import delegates, interpreters
from tests.versions import list_anew

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
        python: its version, as ``3.10``; that of the tests when empty.
    """

    packages: Sequence[str]
    encoder: str
    engine: str
    python: str = ""

    def __str__(self) -> str:
        return f"python{self.python} {self.engine}" if self.python else self.engine

    def interpreter(self) -> str | Path:
        """The program that makes its environment; the test is skipped where this machine has none."""
        if not self.python:
            return sys.executable
        found = interpreters.find(self.python)
        if found is None:
            pytest.skip(f"no Python {self.python} on this machine")
        return found


DEVICES = (
    Device(["onnxruntime", "numpy>=2"], "layers2", "onnxruntime"),
    Device(["ai-edge-litert", "numpy>=2"], "layers2-tflite", "ai-edge-litert"),
    pytest.param(
        Device(["tflite-runtime==2.14.0", "numpy<2"], "layers2-tflite", "tflite-runtime 2.14.0"),
        marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ended with Python 3.11"),
    ),
    Device(["onnxruntime"], "layers2", "onnxruntime", "3.10"),
    Device(["ai-edge-litert"], "layers2-tflite", "ai-edge-litert", "3.13"),
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


@pytest.fixture(scope="module")
def not_rewritten(two_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with the TFLite file of its transformer as the quantizer leaves it; hashed anew."""
    from build_tools.compile import tflite_rewrite
    from build_tools.compile.tflite import compile_tflite
    from build_tools.distill import distil
    from build_tools.distill.student import Student
    from build_tools.workspace import Stage

    bundle = Path(shutil.copytree(two_engines, tmp_path_factory.mktemp("plain") / "bundle"))
    spec = manifests.read(bundle / manifests.FILENAME).encoder("layers2-tflite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite_rewrite, "_quantized_weights", lambda *_: None)
        for folder in (two_engines.parent / "stages").glob("student-*"):
            student = distil.load(Stage(folder, "")).student
            if isinstance(student, Student):
                compile_tflite(student, bundle / spec.path, max_tokens=spec.max_tokens)
    list_anew(bundle)
    return bundle


def test_a_file_that_was_not_rewritten(installed: Installed, not_rewritten: Path) -> None:
    """Old runtimes read it without a word and answer nonsense: verify refuses."""
    if installed.device.encoder != "layers2-tflite" or installed.device.python:
        pytest.skip("one device with each TFLite engine is enough")
    done = installed.run("edge-runtime", "verify", not_rewritten, check=False)
    if installed.device.engine == "ai-edge-litert":
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert "encoder layers2-tflite on tflite-runtime 2.14.0, golden query 1: cosine " in done.stderr
    assert "this engine computes it wrongly here" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_delegate(
    installed: Installed, two_engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both TFLite engines load the one that device.yaml names; where it fails, XNNPACK runs."""
    if installed.device.encoder != "layers2-tflite":
        pytest.skip("no TFLite engine")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path))
    library = delegates.compiled(tmp_path)
    for options, taken in (("{}", True), ("{mode: refuse}", False)):
        asked = f"tflite: {{delegates: [{{library: {library}, options: {options}}}]}}"
        (tmp_path / "device.yaml").write_text(asked, "utf-8")
        done = installed.run("python", "-c", ASK, two_engines)
        answer = json.loads(done.stdout)
        assert answer["engine"].startswith(installed.device.engine)
        assert answer["engine"].endswith("(libdelegate.so)") == taken
        assert answer["keys"][0].startswith("bread")
        assert ("XNNPACK on the CPU runs instead" in done.stderr) == (not taken)


def test_commands_are_installed(installed: Installed, two_engines: Path) -> None:
    """edge-runtime works as a command; edge-build says what it lacks, in one line."""
    found = installed.run("edge-runtime", "search", two_engines, "yeast and dough", "--json")
    assert json.loads(found.stdout)["hits"][0]["key"].startswith("bread")
    refused = installed.run("edge-build", "build", "recipe.yaml", check=False)
    assert refused.returncode == 1
    assert "pip install 'edge-runtime[build]'" in refused.stderr
    assert "Traceback" not in refused.stderr
